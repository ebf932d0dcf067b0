"""The peer's training: additions alone, by masked gradients on the stacked parameters, with old text protected.

The loss of trainer/objective/objective.h: cross-entropy on new text; on replayed text KL to the base and a hinge on router
scores; capture on new text. The probe measures every language on text that is not trained on.
"""
import math
import pathlib
import random
import sys
from collections import namedtuple

import torch
from torch.nn import functional

from peer_scoring import IGNORED, bits_per_byte, change, padded, score

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.added_rows import keep_added_rows  # noqa: E402

Models = namedtuple("Models", "base expanded tokenizers prefix")  # tokenizers: old, extended

CAPTURED_SCORES = 4
FINAL_FRACTION = 0.05


def hold_back(texts, num_bytes):
    """(texts to train on, the last ones, about num_bytes, for the probe)"""
    first = len(texts)
    while first > 1 and sum(len(text.encode()) for text in texts[first:]) < num_bytes:
        first -= 1
    return texts[:first], texts[first:]


def cut_rows(tokenizer, texts, prefix, length):
    """(inputs, targets) of at most `length`; no row crosses a document."""
    rows = []
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        whole = [prefix, *encoding.ids]
        starts = range(0, len(whole) - 1, length)
        rows += [(whole[i:min(i + length, len(whole) - 1)], whole[i + 1:i + 1 + length]) for i in starts]
    return rows


class RowStream:
    """Rows in a random order, epoch after epoch, as many a step as the granted tokens allow on average."""

    def __init__(self, rows, seed):
        self.rows, self.random, self.order, self.owed = rows, random.Random(seed), [], 0

    def take(self, num_tokens):
        taken, self.owed = [], self.owed + num_tokens
        while True:
            if not self.order:
                self.order = self.random.sample(self.rows, len(self.rows))
            if taken and len(self.order[-1][1]) > self.owed:
                return taken
            taken.append(self.order.pop())
            self.owed -= len(taken[-1][1])


class RouterScores:
    """Scores of every router in the last forward pass, one tensor a layer."""

    def __init__(self, model):
        self.layers = [None] * len(model.model.layers)

        def keep(layer):
            def hook(_, __, output):
                self.layers[layer] = output[0]
            return hook
        for layer, block in enumerate(model.model.layers):
            block.mlp.gate.register_forward_hook(keep(layer))


class Objective:
    def __init__(self, model, base, protect):
        self.model, self.base, self.protect = model, base, protect
        self.scores = RouterScores(model)
        self.num_experts, self.top_k = base.config.num_experts, base.config.num_experts_per_tok

    def routing(self, scores, replayed, captured):
        """(hinge on replayed tokens, capture on captured ones), averaged over layers."""
        margin, hinge, capture = self.protect["margin"], 0, 0
        for layer in scores:
            threshold = layer[:, :self.num_experts].topk(self.top_k).values[:, -1:]
            over = layer[:, self.num_experts:] - threshold
            hinge = hinge + (functional.relu(margin + over[replayed])**2).sum(1).mean()
            best = over[captured].topk(min(CAPTURED_SCORES, over.shape[1])).values
            capture = capture + (functional.relu(margin - best)**2).mean()
        return hinge / len(scores), capture / len(scores)

    def kl(self, inputs, logits, real):
        """Mean over the real positions of KL(base || expanded)."""
        with torch.no_grad():
            base = functional.log_softmax(self.base(inputs, use_cache=False).logits[real].float(), -1)
        expanded = functional.log_softmax(logits[real].float(), -1)[:, :base.shape[1]]
        return (base.exp() * (base - expanded)).sum(1).mean()

    def __call__(self, learned, replayed):
        rows = learned + replayed
        inputs, targets = padded([row[0] for row in rows]), padded([row[1] for row in rows], IGNORED)
        logits = self.model(inputs, use_cache=False).logits
        n, real = len(learned), targets != IGNORED
        entropy = functional.cross_entropy(logits[:n].flatten(0, 1).float(), targets[:n].flatten(), ignore_index=IGNORED)
        is_replayed, captured = real.clone(), real.clone()
        is_replayed[:n], captured[n:], captured[:, 0] = False, False, False
        hinge, capture = self.routing(self.scores.layers, is_replayed.flatten(), captured.flatten())
        kl = self.kl(inputs[n:], logits[n:], real[n:])
        return entropy + self.protect["kl"] * kl + self.protect["hinge"] * hinge + self.protect["capture"] * capture


def rate_factor(step, num_steps, warmup_fraction):
    num_warmup = math.ceil(warmup_fraction * num_steps)
    if step < num_warmup:
        return (step + 1) / num_warmup
    progress = (step - num_warmup + 1) / max(num_steps - num_warmup, 1)
    return FINAL_FRACTION + (1 - FINAL_FRACTION) * 0.5 * (1 + math.cos(math.pi * progress))


def select_parameters(model, base):
    """(router rows, everything else that has additions), their old rows' gradients masked."""
    model.requires_grad_(False)
    num_experts, num_rows = base.config.num_experts, base.config.vocab_size
    routers = [block.mlp.gate.weight for block in model.model.layers]
    stacks = [block.mlp.experts for block in model.model.layers]
    experts = [weight for stack in stacks for weight in (stack.gate_up_proj, stack.down_proj)]
    vocabulary = [model.model.embed_tokens.weight, model.lm_head.weight]
    for parameters, num_base in ((routers + experts, num_experts), (vocabulary, num_rows)):
        for parameter in parameters:
            keep_added_rows(parameter, num_base)
    return routers, experts + vocabulary


class Probe:
    """Bits per byte of every language."""

    def __init__(self, models, texts, new_language):
        self.models, self.texts, self.new_language = models, texts, new_language
        self.before = {language: score(models.base, models.tokenizers[0], documents, models.prefix)
                       for language, documents in texts.items() if language != new_language}

    def run(self, num_tokens):
        models = self.models
        scores = {language: score(models.expanded, models.tokenizers[1], documents, models.prefix)
                  for language, documents in self.texts.items()}
        worst = max(change(self.before[language], scores[language]).high for language in self.before)
        new = bits_per_byte(scores[self.new_language])
        print(f"{num_tokens} tokens: {self.new_language} {new:.4f} bits per byte, old at most {worst:+.3%}", file=sys.stderr)


def make_streams(models, texts, new_language, settings, seed):
    """(rows to learn, rows to replay)"""
    rows = {language: cut_rows(models.tokenizers[1], documents, models.prefix, settings["sequence_length"])
            for language, documents in texts.items()}
    learned = RowStream(rows.pop(new_language), seed)
    return learned, RowStream([row for part in rows.values() for row in part], seed + 1)


def make_optimizer(routers, others, router_scale):
    groups = [{"params": others, "scale": 1.0}, {"params": routers, "scale": router_scale}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)


def train(models, texts, new_language, settings, seed):
    """Trains the additions where they are."""
    parts = {language: hold_back(documents, settings["probe"]["bytes_per_language"]) for language, documents in texts.items()}
    probe = Probe(models, {language: part[1] for language, part in parts.items()}, new_language)
    streams = make_streams(models, {language: part[0] for language, part in parts.items()}, new_language, settings, seed)
    rates, every, old_share = settings["optimizer"], settings["probe"]["every_tokens"], settings["replay"]["fraction"]
    grants = [share * settings["batch_tokens"] for share in (1 - old_share, old_share)]
    routers, others = select_parameters(models.expanded, models.base)
    parameters = routers + others
    optimizer = make_optimizer(routers, others, rates["router_learning_rate_scale"])
    objective = Objective(models.expanded, models.base, settings["protect"])
    num_steps, num_tokens = -(-settings["tokens"] // settings["batch_tokens"]), 0
    probe.run(0)
    for step in range(num_steps):
        learned, replayed = (stream.take(grant) for stream, grant in zip(streams, grants))
        for group in optimizer.param_groups:
            group["lr"] = rates["learning_rate"] * group["scale"] * rate_factor(step, num_steps, rates["warmup_fraction"])
        optimizer.zero_grad(set_to_none=True)
        objective(learned, replayed).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        before, num_tokens = num_tokens, num_tokens + sum(len(targets) for _, targets in learned + replayed)
        if num_tokens // every > before // every or step + 1 == num_steps:
            probe.run(num_tokens)
