"""A language of one token per word: tokenizers made in memory, prompts of unequal length, and pairs of sentences."""

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tlesion import Contrast, Prompt

TARGETS = ("him", "her")
TEXTS = (
    "the old teacher thanked",
    "we saw the boy and the girl thanked",
    "the girl gave the boy an apple and told",
)
"""Prompts but for what comes next: two lengths, of which one goes beyond the windows of local attention."""

PAIRS = (
    ("we saw him in the garden", "we saw her in the garden"),
    ("the boy called him", "the boy called her"),
    ("the old teacher gave him an apple and thanked us", "the old teacher gave her an apple and thanked us"),
    ("often the girl told him", "often the girl told her"),
    ("an apple from him and us", "an apple from her and us"),
)
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
SPECIAL_OF_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(sorted({word for text in [*TEXTS, *(text for pair in PAIRS for text in pair)] for word in text.split()}))
SIZE = 48
"""Rows of the embeddings: more than there are words."""


def tokenizer(*, masked: bool) -> PreTrainedTokenizerBase:
    """One token for each word; a masked model's puts [CLS] and [SEP] around a text, a causal one's puts <s> first."""
    if masked:
        return BertTokenizer(vocab={word: index for index, word in enumerate((*SPECIAL_OF_BERT, *WORDS))})
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
    )


def prompts(*, masked: bool) -> list[Prompt]:
    """The prompts, as tlesion takes them: a masked model fills a gap that is not the last word."""
    texts = [f"{text} [MASK] often" if masked else text for text in TEXTS]
    return [Prompt(text, targets=TARGETS, correct="him") for text in texts]


def contrast() -> Contrast:
    """The pairs, as tlesion takes them."""
    return Contrast.from_pairs(list(PAIRS), words=TARGETS)


def ids(text: str, *, masked: bool, bos: bool) -> list[int]:
    """Token ids of a text, looked up word by word."""
    if masked:
        vocabulary = (*SPECIAL_OF_BERT, *WORDS)
        return [vocabulary.index(word) for word in ("[CLS]", *text.split(), "[SEP]")]
    vocabulary = (*SPECIAL, *WORDS)
    return [vocabulary.index(word) for word in (("<s>",) if bos else ()) + tuple(text.split())]
