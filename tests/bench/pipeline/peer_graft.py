"""The peer's graft: which experts the languages use, donors, and an expanded model with fitted router and output rows.

The same equations as expand/ (README.md there): donors by use and by how specific they are to the nearest languages, half of
a clone's units redrawn, one mark in all new input rows, router rows by ridge regression and L-BFGS on hinges, one closed-form
offset of the output rows.
"""
import copy
import random

import numpy
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from peer_scoring import padded

SEQUENCE_TOKENS = 512
PROFILE_TOKENS = 20_000  # of each language
NEW_TOKENS, OLD_TOKENS = 12_000, 24_000  # for the fits
MARGIN, OLD_WEIGHT, RIDGE, START_WEIGHT, ITERATIONS = 0.3, 64.0, 1e-3, 16.0, 60
HEAD_MARGIN, HEAD_OLD_WEIGHT = 5.0, 8.0
BATCH_SEQUENCES = 8
MARK_TOKENS, MARK_SHARE, READER_SCORE, PREDICTION_WEIGHT = 1024, 1 / 6, 6.0, 0.3


def sample_sequences(tokenizer, texts, prefix, num_tokens, seed):
    """Documents in random order, cut into sequences that begin with the prefix or the token before; num_tokens in all."""
    texts = random.Random(seed).sample(texts, len(texts))
    sequences, left = [], num_tokens
    for text in texts:
        ids = [prefix, *tokenizer.encode(text, add_special_tokens=False).ids]
        for first in range(0, len(ids) - 1, SEQUENCE_TOKENS - 1):
            sequences.append(ids[first:first + min(SEQUENCE_TOKENS, left)])
            left -= len(sequences[-1])
            if left <= 1:
                return sequences
    return sequences


class RouterInputs:
    """Router inputs of every layer, and final hidden states, of sequences run through a model; first: which begin one."""

    def __init__(self, model, sequences, embedding):
        self.layers, hidden, first = [[] for _ in model.model.layers], [], []
        mask = None

        def keep(layer):
            return lambda gate, inputs: self.layers[layer].append(inputs[0].reshape(-1, inputs[0].shape[-1])[mask])
        hooks = [block.mlp.gate.register_forward_pre_hook(keep(layer)) for layer, block in enumerate(model.model.layers)]
        with torch.no_grad():
            for i in range(0, len(sequences), BATCH_SEQUENCES):
                part = sequences[i:i + BATCH_SEQUENCES]
                mask = padded([[True] * len(s) for s in part], False).flatten()
                out = model.model(inputs_embeds=functional.embedding(padded(part), embedding), use_cache=False)
                hidden.append(out.last_hidden_state.flatten(0, 1)[mask])
                first += [position == 0 for s in part for position in range(len(s))]
        for hook in hooks:
            hook.remove()
        self.layers = [torch.cat(parts) for parts in self.layers]
        self.hidden, self.first = torch.cat(hidden), torch.tensor(first)


def profile(base, tokenizer, texts_by_language, prefix):
    """Share of each language's (token, slot) pairs by expert: {language: [layer, expert]}."""
    top_k, shares = base.config.num_experts_per_tok, {}
    for language, texts in texts_by_language.items():
        seen = RouterInputs(base, sample_sequences(tokenizer, texts, prefix, PROFILE_TOKENS, language),
                            base.model.embed_tokens.weight)
        counts = [torch.bincount((inputs @ block.mlp.gate.weight.T).topk(top_k).indices.flatten(),
                                 minlength=base.config.num_experts)
                  for inputs, block in zip(seen.layers, base.model.layers)]
        shares[language] = numpy.stack([(c / c.sum()).numpy() for c in counts])
    return shares


def choose_donors(shares, new, old_languages, num_donors):
    """[layer][expert ids], best first."""
    similarity = {language: numpy.mean([numpy.corrcoef(a, b)[0, 1] for a, b in zip(shares[new], shares[language])])
                  for language in old_languages}
    ranked = sorted(old_languages, key=lambda language: -similarity[language])
    nearest = ranked[:min(3, (len(ranked) + 1) // 2)]
    near, every = (numpy.mean([shares[language] for language in group], axis=0) for group in (nearest, ranked))
    specificity = numpy.where(every > 0, near / numpy.where(every > 0, every, 1), 1)
    return numpy.argsort(-shares[new] * specificity, axis=1, kind="stable")[:, :num_donors]


def second_moment(rows, weight=None):
    weight = torch.full((len(rows), 1), 1 / len(rows), dtype=rows.dtype) if weight is None else weight
    return (rows * weight).T @ rows


def ridged(moment):
    penalty = RIDGE * moment.trace() / len(moment)
    return moment + penalty * torch.eye(len(moment), dtype=moment.dtype), penalty


@torch.enable_grad()
def fit_router(gate, donors, top_k, old, new, old_first):
    """Rows that win new tokens and lose old ones, with a margin to the last chosen old expert."""
    scores = [(inputs @ gate.T).double() for inputs in (old, new)]
    old_threshold, new_threshold = (s.topk(top_k).values[:, -1:] for s in scores)
    donor_scores = scores[1][:, donors]
    target = new_threshold + MARGIN + donor_scores - donor_scores.mean(1, keepdim=True)
    old, new = old.double(), new.double()
    weight = torch.where(old_first, START_WEIGHT, 1.0).double().unsqueeze(1)
    weight /= weight.sum()
    moment, penalty = ridged(second_moment(new) + OLD_WEIGHT * second_moment(old, weight))
    pull = target.T @ new / len(new) + OLD_WEIGHT * ((old_threshold - MARGIN) * weight).T @ old
    rows = torch.linalg.solve(moment, pull.T).T.contiguous().requires_grad_()
    optimizer = torch.optim.LBFGS([rows], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        excess = functional.relu(old @ rows.T + MARGIN - old_threshold)
        lack = functional.relu(target - new @ rows.T)
        value = OLD_WEIGHT * (weight * excess**2).sum() + (lack**2).sum() / len(new) + penalty * (rows**2).sum()
        value.backward()
        return value
    optimizer.step(loss)
    return rows.detach().float()


def separation(readers, layers, mask, wanted):
    """Cost of telling the text from the other kind by a linear reader of each layer's router inputs, nats."""
    cost = 0
    for (reader, bias), inputs in zip(readers, layers):
        score = functional.rms_norm(inputs[mask], inputs.shape[-1:]) @ reader + bias
        cost = cost + functional.softplus(-wanted * score).mean()
    return cost / len(readers)


@torch.enable_grad()
def fit_mark(base, start_rows, sequences, steps):
    """One vector for all new input rows, by which routers tell new text from old (expand/language_mark.h)."""
    rows, width = base.model.embed_tokens.weight, base.config.hidden_size
    mark = torch.zeros(width, requires_grad=True)
    readers = [(torch.zeros(width, requires_grad=True), torch.zeros(1, requires_grad=True)) for _ in base.model.layers]
    optimizer = torch.optim.Adam([
        {"params": [mark], "lr": MARK_SHARE * start_rows.square().mean().sqrt().item()},
        {"params": [parameter for reader in readers for parameter in reader], "lr": READER_SCORE / width}])
    seen = [None] * len(base.model.layers)

    def keep(layer):
        def hook(gate, inputs):
            seen[layer] = inputs[0].reshape(-1, width)
        return hook
    hooks = [block.mlp.gate.register_forward_pre_hook(keep(layer)) for layer, block in enumerate(base.model.layers)]
    count = MARK_TOKENS // SEQUENCE_TOKENS  # sequences a step
    for step in range(steps):
        old, new = ([side[(step * count + i) % len(side)] for i in range(count)] for side in sequences)
        real, later = (padded([[begun or position > 0 for position in range(len(s))] for s in side], False)
                       for side, begun in ((old, True), (new, False)))
        embedding = torch.cat([rows, start_rows + mark])
        with torch.no_grad():
            base.model(inputs_embeds=functional.embedding(padded(old), embedding), use_cache=False)
        cost = separation(readers, seen, real.flatten(), -1)
        logits = base(inputs_embeds=functional.embedding(padded(new), embedding), use_cache=False).logits
        cost = cost + separation(readers, seen, later.flatten(), 1)
        targets = padded(new).masked_fill(~later | (padded(new) >= len(rows)), -100)[:, 1:]
        cost = cost + PREDICTION_WEIGHT * functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    for hook in hooks:
        hook.remove()
    return mark.detach()


def head_offset(old_hidden, new_hidden):
    old, new = old_hidden.double(), new_hidden.double()
    moment, _ = ridged(second_moment(new) + HEAD_OLD_WEIGHT * second_moment(old))
    return (-HEAD_MARGIN * HEAD_OLD_WEIGHT * torch.linalg.solve(moment, old.mean(0))).float()


def redraw(expert, units, generator):
    """Units (rows of gate and up, columns of down) drawn anew with the mean and deviation of what they replace."""
    gate_up, down = expert
    width = down.shape[1]
    for part in (gate_up[:width], gate_up[width:], down.T):
        old = part[units]
        part[units] = old.mean() + old.std() * torch.randn(old.shape, generator=generator)


def grown(base, num_experts, num_rows):
    """The base's model with an untied head and more rows, which are yet to be set."""
    config = copy.deepcopy(base.config)
    config.num_experts += num_experts
    config.vocab_size += num_rows
    config.tie_word_embeddings = False
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa",
                                             experts_implementation=base.config._experts_implementation)
    old = base.state_dict()
    for name, value in model.state_dict().items():
        value[:len(old[name])] = old[name]
    return model


@torch.no_grad()
def graft(base, extended, texts, prefix, parts, donors, reinit_ratio, mark_steps, seed):
    """@param extended the extended tokenizer. @param texts (old, new). @return the expanded model before training."""
    model = grown(base, donors.shape[1], len(parts))
    generator = torch.Generator().manual_seed(seed)
    rows = base.model.embed_tokens.weight
    new_rows = torch.stack([rows[torch.tensor(part)].mean(0) for part in parts])
    old_sequences = sample_sequences(extended, texts[0], prefix, OLD_TOKENS, seed)
    new_sequences = sample_sequences(extended, texts[1], prefix, NEW_TOKENS, seed)
    marked_rows = new_rows + fit_mark(base, new_rows, (old_sequences, new_sequences), mark_steps)
    embedding = torch.cat([rows, marked_rows])
    old = RouterInputs(base, old_sequences, embedding)
    new = RouterInputs(base, new_sequences, embedding)
    for layer, block in enumerate(model.model.layers):
        block.mlp.gate.weight[base.config.num_experts:] = fit_router(
            base.model.layers[layer].mlp.gate.weight, donors[layer], base.config.num_experts_per_tok,
            old.layers[layer], new.layers[layer][~new.first], old.first)
        experts = block.mlp.experts
        for i, donor in enumerate(donors[layer], start=base.config.num_experts):
            experts.gate_up_proj[i], experts.down_proj[i] = experts.gate_up_proj[donor], experts.down_proj[donor]
            width = experts.down_proj.shape[2]
            units = torch.randperm(width, generator=generator)[:round(reinit_ratio * width)]
            redraw((experts.gate_up_proj[i], experts.down_proj[i]), units, generator)
    model.model.embed_tokens.weight[len(rows):] = marked_rows
    model.lm_head.weight[len(rows):] = new_rows + head_offset(old.hidden, new.hidden[~new.first])
    return model
