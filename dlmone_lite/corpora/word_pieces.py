"""WordPiece, the open vocabulary of BERT, for real text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dlmone_lite.errors import InputError
from dlmone_lite.text import SPECIALS, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Control characters, zero-width spaces and marks of direction; not the joiners of Persian and of emoji.
INVISIBLE = r"[[:cntrl:]&&[^\s]]|[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
CHUNK = 4096  # sentences tokenised together, because an `Encoding` takes far more memory than its ids


class WordPieces(Vocabulary):
    """An open vocabulary: any text is lower-cased and split into pieces as in BERT (WordPiece).

    `words` are the pieces; a piece that continues a word begins with ##. A word without pieces is [UNK]. A
    special token that is written in a text, such as [SEP], is text. `accents` says whether accents and vowel
    signs stay (then text is normalised to NFC) or go, as in BERT's uncased vocabulary.
    """

    def __init__(self, words: Iterable[str], accents: bool = False):
        super().__init__(words)
        self.accents, self.kind = accents, "accented pieces" if accents else "pieces"

    @classmethod
    def learn(cls, sentences: Iterable[str], size: int = 8192, accents: bool = True) -> WordPieces:
        """Train at most `size` pieces on these sentences; the same sentences give the same pieces.

        Every letter takes two pieces, one inside a word. If the letters alone would be more than `size`
        pieces, the most frequent stay, and words with another letter become [UNK].
        """
        from tokenizers import trainers

        named = [*SPECIALS, "[CLS]"]
        room = (size - len(named)) // 2
        if room < 1:
            raise InputError(f"pieces must be at least {len(named) + 2}, not {size}")
        backend, lines = cls((), accents)._backend, list(sentences)
        letters: Counter[str] = Counter()
        for line in lines:
            letters.update("".join(backend.normalizer.normalize_str(line).split()))
        alphabet = sorted(sorted(letters, key=lambda letter: (-letters[letter], letter))[:room])
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            # Letters inside words are special tokens here, because their order is random otherwise.
            special_tokens=[*named, *(f"##{letter}" for letter in alphabet)],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        backend.train_from_iterator(lines, trainer)
        return cls(sorted(backend.get_vocab()), accents)

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
        return self._backend.encode(sentence, add_special_tokens=False).ids

    def ids_of(self, sentences: Sequence[str]) -> list[list[int]]:
        """`ids` of each sentence, computed on all cores (unless TOKENIZERS_PARALLELISM is false)."""
        encode, ids = self._backend.encode_batch_fast, []
        for start in range(0, len(sentences), CHUNK):
            chunk = list(sentences[start : start + CHUNK])
            ids += [encoding.ids for encoding in encode(chunk, add_special_tokens=False)]
        return ids

    def text(self, ids: Iterable[int]) -> str:
        """The words up to the first [SEP]; [PAD] before it stays visible, because it is an error."""
        return super().text(ids).replace(" ##", "")

    def spelled(self, sentence: str) -> str:
        """The sentence as `text` would give it if every word had pieces: no word is [UNK]."""
        normal = self._backend.normalizer.normalize_str(sentence)
        return " ".join(word for word, _ in self._backend.pre_tokenizer.pre_tokenize_str(normal))

    @cached_property
    def _backend(self) -> Tokenizer:
        """The tokenizer of these pieces."""
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

        backend = Tokenizer(models.WordPiece(self._index, unk_token="[UNK]", max_input_chars_per_word=100))
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        if self.accents:
            control = normalizers.Replace(Regex(INVISIBLE), "")
            lower = normalizers.BertNormalizer(clean_text=False, strip_accents=False, lowercase=True)
            backend.normalizer = normalizers.Sequence([control, lower, normalizers.NFC()])
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return backend
