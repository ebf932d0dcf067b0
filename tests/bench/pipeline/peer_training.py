"""The peer's training: additions alone, by masked gradients on the stacked parameters, with old text protected.

The loss of trainer/objective/objective.h: cross-entropy on new text; on replayed text KL to the base and a hinge on router
scores; capture on new text. The probe measures every language on text that is not trained on, and the best weights within
the budget are kept.
"""
import math
import pathlib
import random
import sys

import torch
from torch.nn import functional

from peer_scoring import IGNORED, bits_per_byte, change, padded, score

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.added_rows import keep_added_rows  # noqa: E402

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
        rows += [(whole[i:i + length][:len(whole) - 1 - i], whole[i + 1:i + 1 + length]) for i in range(0, len(whole) - 1, length)]
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
        self.scores, self.num_experts, self.top_k = RouterScores(model), base.config.num_experts, base.config.num_experts_per_tok

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
    experts = [weight for block in model.model.layers for weight in (block.mlp.experts.gate_up_proj, block.mlp.experts.down_proj)]
    vocabulary = [model.model.embed_tokens.weight, model.lm_head.weight]
    for parameters, num_base in ((routers + experts, num_experts), (vocabulary, num_rows)):
        for parameter in parameters:
            keep_added_rows(parameter, num_base)
    return routers, experts + vocabulary


class Probe:
    """Bits per byte of every language, and the best weights so far."""

    def __init__(self, model, base, tokenizers, texts, prefix, new_language, limit):
        self.model, self.tokenizer, self.texts, self.prefix = model, tokenizers[1], texts, prefix
        self.new_language, self.limit, self.best, self.best_key = new_language, limit, None, (True, math.inf)
        self.before = {language: score(base, tokenizers[0], documents, prefix) for language, documents in texts.items()
                       if language != new_language}

    def run(self, parameters, num_tokens):
        scores = {language: score(self.model, self.tokenizer, documents, self.prefix) for language, documents in self.texts.items()}
        worst = max(change(self.before[language], scores[language]).high for language in self.before)
        new = bits_per_byte(scores[self.new_language])
        print(f"{num_tokens} tokens: {self.new_language} {new:.4f} bits per byte, old at most {worst:+.3%}", file=sys.stderr)
        key = (True, worst) if worst > self.limit else (False, new)
        if key < self.best_key:
            self.best_key, self.best = key, [parameter.detach().clone() for parameter in parameters]


def train(model, base, tokenizers, texts, prefix, new_language, settings, seed):
    """Trains the additions where they are; ends with the best weights that a probe saw."""
    torch.manual_seed(seed)
    parts = {language: hold_back(documents, settings["probe"]["bytes_per_language"]) for language, documents in texts.items()}
    rows = {language: cut_rows(tokenizers[1], part[0], prefix, settings["sequence_length"]) for language, part in parts.items()}
    learned = RowStream(rows.pop(new_language), seed)
    replayed = RowStream([row for part in rows.values() for row in part], seed + 1)
    routers, others = select_parameters(model, base)
    rates = settings["optimizer"]
    optimizer = torch.optim.AdamW([{"params": others, "scale": 1.0},
                                   {"params": routers, "scale": rates["router_learning_rate_scale"]}],
                                  betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)
    objective = Objective(model, base, settings["protect"])
    probe = Probe(model, base, tokenizers, {language: part[1] for language, part in parts.items()}, prefix, new_language,
                  settings["budget"]["max_relative_bpb"])
    num_steps = -(-settings["tokens"] // settings["batch_tokens"])
    old_share, every, num_tokens = settings["replay"]["fraction"], settings["probe"]["every_tokens"], 0
    probe.run(routers + others, 0)
    for step in range(num_steps):
        new, old = (stream.take(share * settings["batch_tokens"])
                    for stream, share in ((learned, 1 - old_share), (replayed, old_share)))
        for group in optimizer.param_groups:
            group["lr"] = rates["learning_rate"] * group["scale"] * rate_factor(step, num_steps, rates["warmup_fraction"])
        optimizer.zero_grad(set_to_none=True)
        objective(new, old).backward()
        torch.nn.utils.clip_grad_norm_(routers + others, 1.0)
        optimizer.step()
        before, num_tokens = num_tokens, num_tokens + sum(len(row[1]) for row in new + old)
        if num_tokens // every > before // every or step + 1 == num_steps:
            probe.run(routers + others, num_tokens)
    with torch.no_grad():
        for parameter, best in zip(routers + others, probe.best):
            parameter.copy_(best)
