"""The peer's tokenizer: byte-level BPE continued on new text, with a guard on old text, by way of Hugging Face tokenizers.

New merges follow all old ones. A pair of old tokens that stands anywhere in old text is never joined, so that old text is
cut as before.
"""
import heapq
import itertools
import json
import shutil
from collections import Counter, defaultdict

import numpy
from tokenizers import Tokenizer

DOCUMENTS_AT_ONCE = 500
PAIR_SHIFT = 32


def encodings(tokenizer, texts):
    for first in range(0, len(texts), DOCUMENTS_AT_ONCE):
        yield from tokenizer.encode_batch(texts[first:first + DOCUMENTS_AT_ONCE], add_special_tokens=False)


def count_words(tokenizer, texts):
    """Counter of words, each a tuple of token ids."""
    words = Counter()
    for encoding in encodings(tokenizer, texts):
        pieces = itertools.groupby(zip(encoding.word_ids, encoding.ids), key=lambda piece: piece[0])
        words.update(tuple(token for _, token in piece) for _, piece in pieces)
    return words


def guarded_pairs(tokenizer, texts):
    """Pairs of tokens that stand side by side in one word of old text."""
    pairs = set()
    for encoding in encodings(tokenizer, texts):
        ids, word = numpy.array(encoding.ids, numpy.int64), numpy.array(encoding.word_ids)
        same = word[1:] == word[:-1]
        pairs.update(numpy.unique((ids[:-1][same] << PAIR_SHIFT) | ids[1:][same]).tolist())
    return {(pair >> PAIR_SHIFT, pair & (2**PAIR_SHIFT - 1)) for pair in pairs}


class MergeLearner:
    """Pair counts kept up to date while merging: a merge touches the words that hold its pair."""

    def __init__(self, words):
        self.words = [list(word) for word in words]
        self.times = list(words.values())
        self.counts, self.places = Counter(), defaultdict(set)
        for place in range(len(self.words)):
            self.count(place, 1)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.heap)

    def count(self, place, sign):
        word = self.words[place]
        for pair in zip(word, word[1:]):
            self.counts[pair] += sign * self.times[place]
            self.places[pair].add(place)

    def most_frequent(self):
        """The most frequent pair that was not offered before; ties to smaller ids."""
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            if self.counts[pair] == -count and count < 0:
                return pair
            if self.counts[pair] > 0:
                heapq.heappush(self.heap, (-self.counts[pair], pair))
        raise SystemExit("no pair is left to merge")

    def merge(self, pair, merged):
        for place in list(self.places[pair]):
            self.count(place, -1)
            word, joined, i = self.words[place], [], 0
            while i < len(word):
                found = tuple(word[i:i + 2]) == pair
                joined.append(merged if found else word[i])
                i += 2 if found else 1
            self.words[place] = joined
            self.count(place, 1)
            for grown in zip(joined, joined[1:]):
                if merged in grown:
                    heapq.heappush(self.heap, (-self.counts[grown], grown))


def learn_merges(words, forbidden, texts_of_tokens, num_new):
    """[(left, right)] of the new tokens, which are appended to `texts_of_tokens`."""
    learner, merges, known = MergeLearner(words), [], set(texts_of_tokens)
    while len(merges) < num_new:
        pair = learner.most_frequent()
        text = texts_of_tokens[pair[0]] + texts_of_tokens[pair[1]]
        if pair in forbidden or text in known:
            continue
        learner.merge(pair, len(texts_of_tokens))
        texts_of_tokens.append(text)
        known.add(text)
        merges.append(pair)
    return merges


def write(source, folder, texts_of_tokens, merges):
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.glob("tokenizer_config.json"):
        shutil.copy(file, folder)
    description = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    model = description["model"]
    as_pairs = isinstance(model["merges"][0], list)
    for token, (left, right) in enumerate(merges, start=len(texts_of_tokens) - len(merges)):
        pair = [texts_of_tokens[left], texts_of_tokens[right]]
        model["merges"].append(pair if as_pairs else " ".join(pair))
        model["vocab"]["".join(pair)] = token
    (folder / "tokenizer.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")


def extend(source, new_texts, old_texts, num_new, folder):
    """Writes the extended tokenizer. @return the merges, as pairs of ids."""
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    texts_of_tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    forbidden = guarded_pairs(tokenizer, old_texts)
    merges = learn_merges(count_words(tokenizer, new_texts), forbidden, texts_of_tokens, num_new)
    write(source, folder, texts_of_tokens, merges)
    grown = Tokenizer.from_file(str(folder / "tokenizer.json"))
    changed = sum(old.ids != new.ids for old, new in zip(encodings(tokenizer, old_texts), encodings(grown, old_texts)))
    if changed:
        raise SystemExit(f"{changed} old documents are cut differently")
    return merges


def old_parts(merges, num_old):
    """For each new token the old tokens that it replaces."""
    parts = []
    for pair in merges:
        parts.append([token for side in pair for token in (parts[side - num_old] if side >= num_old else [side])])
    return parts
