"""The only room that knows the insides of TransformerLens: blocks, attention written out, kernels, layout."""
