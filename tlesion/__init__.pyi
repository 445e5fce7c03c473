"""The public names, for `lazy_loader` and for type checkers."""

