"""The toy models' tokenizers: every word of the language is one token, any other word falls into pieces."""

import json
import re
import string

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from benchmarks.toy_models.grammar import WITH_FULL_NAMES, sample_texts
from benchmarks.toy_models.vocabulary import WORD_CLASSES, all_words

CONTEXT = 256
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
END = "<|endoftext|>"
# Texts looked through for words with a capital, and for the pieces that unknown words fall into.
SURVEY = 20_000
# Byte pairs merged for unknown words.
N_PIECES = 300


def build_bert_tokenizer() -> PreTrainedTokenizerFast:
    """An uncased WordPiece tokenizer, as BERT has it, with the language's words and single letters for others.

    Returns:
        The tokenizer, with ``[CLS]`` before and ``[SEP]`` after a text.
    """
    letters = string.ascii_lowercase + string.digits
    pieces = [*SPECIAL.values(), *string.punctuation, *letters, *(f"##{letter}" for letter in letters)]
    words = dict.fromkeys(pieces + [word.lower() for word in all_words()])
    tokenizer = Tokenizer(
        models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]", max_input_chars_per_word=100)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=CONTEXT, **SPECIAL)


def build_gpt_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, as GPT-2 has it, in which the language's words are single tokens.

    Words are tokens with a leading space; common nouns, pronouns and what can begin a text also without one.

    Returns:
        The tokenizer; ``<|endoftext|>`` begins, ends and pads.
    """
    texts = sample_texts(SURVEY, seed=0, mix=WITH_FULL_NAMES)
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    pieces.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=len(alphabet) + 1 + N_PIECES,
            special_tokens=[END],
            initial_alphabet=sorted(alphabet),
            show_progress=False,
        ),
    )
    piece_ids = pieces.get_vocab()
    vocabulary = sorted(piece_ids, key=lambda piece: piece_ids[piece])
    vocabulary += [f"Ġ{word}" for word in all_words()] + _without_space(texts)
    ids = {token: i for i, token in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(models.BPE(ids, _merges(pieces), ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=CONTEXT,
        bos_token=END,
        eos_token=END,
        unk_token=END,
        pad_token=END,
    )


def _without_space(texts: list[str]) -> list[str]:
    capitals = sorted({word for text in texts for word in re.findall(r"[A-Z][a-z]*", text)})
    nouns = WORD_CLASSES["anything"] + WORD_CLASSES["neutral"] + WORD_CLASSES["mass"]
    pronouns = ["he", "him", "his", "himself", "she", "her", "herself"]
    return [f"Ġ{word}" for word in capitals] + capitals + nouns + pronouns


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(merge) for merge in merges]
