"""WordPiece, the open vocabulary of BERT, for real text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dlmone_lite.errors import InputError
from dlmone_lite.text import SPECIALS, Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 4096  # sentences tokenised together, because an `Encoding` takes far more memory than its ids


class WordPieces(Vocabulary):
    """An open vocabulary: any text is lower-cased and split into pieces as in BERT (WordPiece).

    `words` are the pieces; a piece that continues a word begins with ##. A word without pieces is [UNK].
    """

    @classmethod
    def learn(cls, sentences: Iterable[str], size: int = 8192) -> WordPieces:
        """Train at most `size` pieces on these sentences; the same sentences give the same pieces."""
        from tokenizers import trainers

        backend, lines = cls(()).tokenizer.backend_tokenizer, list(sentences)
        letters: Counter[str] = Counter()
        for line in lines:
            letters.update("".join(backend.normalizer.normalize_str(line).split()))
        alphabet = sorted(sorted(letters, key=lambda letter: (-letters[letter], letter))[:1000])
        inner = [
            f"##{letter}" for letter in alphabet
        ]  # special tokens too, because their order is else random
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            special_tokens=[*SPECIALS, "[CLS]", *inner],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        backend.train_from_iterator(lines, trainer)
        return cls(sorted(backend.get_vocab()))

    @classmethod
    def of_bert(cls, name_or_folder: str = "bert-base-uncased") -> WordPieces:
        """BERT's pieces, from a folder with its tokenizer or from the hub; InputError if neither has it."""
        from transformers import AutoTokenizer

        try:
            pieces = AutoTokenizer.from_pretrained(name_or_folder).get_vocab()
        except Exception as e:  # a missing tokenizer raises many kinds of errors
            raise InputError(
                f"the tokenizer {name_or_folder} is neither a folder nor to be had from the hub "
                f"({type(e).__name__}); give a folder that holds it, or let the corpus make its own pieces"
            ) from e
        return cls(sorted(pieces))

    def ids(self, sentence: str) -> list[int]:
        """Ids of the pieces, without [CLS] and [SEP]."""
        return self.tokenizer.backend_tokenizer.encode(sentence, add_special_tokens=False).ids

    def ids_of(self, sentences: Sequence[str]) -> list[list[int]]:
        """`ids` of each sentence, computed on all cores (unless TOKENIZERS_PARALLELISM is false)."""
        encode, ids = self.tokenizer.backend_tokenizer.encode_batch_fast, []
        for start in range(0, len(sentences), CHUNK):
            chunk = list(sentences[start : start + CHUNK])
            ids += [encoding.ids for encoding in encode(chunk, add_special_tokens=False)]
        return ids

    def text(self, ids: Iterable[int]) -> str:
        """The words up to the first [SEP]; [PAD] before it stays visible, because it is an error."""
        return super().text(ids).replace(" ##", "")

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The same pieces as a `transformers` fast tokenizer."""
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        backend = Tokenizer(models.WordPiece(self._index, unk_token="[UNK]", max_input_chars_per_word=100))
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return PreTrainedTokenizerFast(
            tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", sep_token="[SEP]"
        )
