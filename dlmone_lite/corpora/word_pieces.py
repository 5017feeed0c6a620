"""An open vocabulary for real text: words cut into pieces, as BERT does it (WordPiece)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dlmone_lite.errors import InputError
from dlmone_lite.text import SPECIALS, Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

AT_ONCE = 4096  # sentences that are cut together: what is known of each takes far more room than its ids


class WordPieces(Vocabulary):
    """An open vocabulary: any text is cut into known pieces, lower-cased, the way BERT does it (WordPiece).

    `words` are the pieces; one that goes on with a word begins with ##. What no piece fits is [UNK].
    """

    @classmethod
    def learn(cls, sentences: Iterable[str], size: int = 8192) -> WordPieces:
        """At most `size` pieces that cut these sentences best; fewer if they do not have as many."""
        from tokenizers import trainers

        backend, lines = cls(()).tokenizer.backend_tokenizer, list(sentences)
        letters = Counter(
            letter for line in lines for letter in "".join(backend.normalizer.normalize_str(line).split())
        )
        alphabet = sorted(sorted(letters, key=lambda letter: (-letters[letter], letter))[:1000])
        inner = [f"##{letter}" for letter in alphabet]
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            special_tokens=[
                *SPECIALS,
                "[CLS]",
                *inner,
            ],  # named in order, for the trainer meets them in a random one
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        backend.train_from_iterator(lines, trainer)
        return cls(sorted(backend.get_vocab()))

    @classmethod
    def of_bert(cls, name_or_folder: str = "bert-base-uncased") -> WordPieces:
        """BERT's pieces, from a folder with its tokenizer or from the hub; InputError without either."""
        from transformers import AutoTokenizer

        try:
            known = AutoTokenizer.from_pretrained(name_or_folder).get_vocab()
        except Exception as e:  # what is missing comes as many kinds of errors
            raise InputError(
                f"the tokenizer {name_or_folder} is neither a folder nor to be had from the hub "
                f"({type(e).__name__}); give a folder that holds it, or let the corpus make its own pieces"
            ) from e
        return cls(sorted(known))

    def ids(self, sentence: str) -> list[int]:
        """Ids of the pieces, without any mark of beginning or end."""
        return self.tokenizer.backend_tokenizer.encode(sentence, add_special_tokens=False).ids

    def ids_of(self, sentences: Sequence[str]) -> list[list[int]]:
        """`ids` of each sentence, cut by all cores (unless TOKENIZERS_PARALLELISM is false)."""
        cut, ids = self.tokenizer.backend_tokenizer.encode_batch_fast, []
        for start in range(0, len(sentences), AT_ONCE):
            some = cut(list(sentences[start : start + AT_ONCE]), add_special_tokens=False)
            ids += [pieces.ids for pieces in some]
        return ids

    def text(self, ids: Iterable[int]) -> str:
        """The words up to the first [SEP]; [PAD] inside a sentence stays visible, for it is an error."""
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
