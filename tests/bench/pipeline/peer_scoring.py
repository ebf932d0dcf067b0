"""The peer's measuring: log-likelihood of documents under a transformers model, bits per byte, paired bootstrap."""
import math
from collections import namedtuple

import numpy
import torch
from torch.nn import functional

BATCH_TOKENS = 4096
IGNORED = -100

Score = namedtuple("Score", "nats bytes")
Change = namedtuple("Change", "relative low high")


def padded(rows, value=0):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def windows(ids, prefix, context):
    """(inputs, targets) in which every token is scored once; the last window is filled up with what stands before."""
    whole, first = [prefix, *ids], 0
    while first < len(ids):
        end = min(first + context, len(ids))
        begin = max(end - context, 0)
        yield whole[begin:end], [IGNORED] * (first - begin) + ids[first:end]
        first = end


def batches(items):
    """Indices of items of similar length, about BATCH_TOKENS in each batch, padding included."""
    batch = []
    for index in sorted(range(len(items)), key=lambda i: len(items[i][0])):
        if batch and len(items[index][0]) * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.no_grad()
def score(model, tokenizer, texts, prefix):
    """One Score for each text. Rows are padded on the right, where causal attention never looks."""
    context = min(model.config.max_position_embeddings, 2048)
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    items = [(*window, place) for place, encoding in enumerate(encoded) for window in windows(encoding.ids, prefix, context)]
    nats = numpy.zeros(len(texts))
    for batch in batches(items):
        inputs, targets = padded([items[i][0] for i in batch]), padded([items[i][1] for i in batch], IGNORED)
        logits = model(inputs, use_cache=False).logits.float()
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
        for i, loss in zip(batch, losses.view(targets.shape).double().sum(1).tolist()):
            nats[items[i][2]] += loss
    return [Score(loss, len(text.encode())) for loss, text in zip(nats.tolist(), texts)]


def bits_per_byte(scores):
    return sum(s.nats for s in scores) / math.log(2) / sum(s.bytes for s in scores)


def change(before, after, confidence=0.95, resamples=2000, seed=17):
    """Relative change of bits per byte, with a percentile interval over documents drawn with replacement."""
    a, b = (numpy.array([s.nats for s in scores]) for scores in (before, after))
    counts = numpy.random.default_rng(seed).multinomial(len(a), numpy.full(len(a), 1 / len(a)), size=resamples)
    drawn = (counts @ b) / (counts @ a) - 1
    tail = 50 * (1 - confidence)
    return Change(b.sum() / a.sum() - 1, *numpy.percentile(drawn, [tail, 100 - tail]).tolist())
