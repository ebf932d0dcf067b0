"""The fair peer: additions as parameters of their own beside frozen stacks, so that no gradient of an old row is formed.

Each (token, expert) pair is computed by one of two of transformers' experts modules, in whichever implementation the model
uses; new vocabulary rows are a second embedding and a second output matrix.
"""
import copy

import torch
from torch.nn import functional


class SplitRows(torch.nn.Module):
    """The rows of a parameter, old ones frozen."""

    def __init__(self, parameter, num_base):
        super().__init__()
        self.num_base = num_base
        self.old = torch.nn.Parameter(parameter[:num_base].detach(), requires_grad=False)
        self.new = torch.nn.Parameter(parameter[num_base:].detach().clone())


class SplitEmbedding(SplitRows):
    def forward(self, ids):
        is_new = ids >= self.num_base
        new = functional.embedding((ids - self.num_base).clamp(min=0), self.new)
        return torch.where(is_new.unsqueeze(-1), new, functional.embedding(ids.clamp(max=self.num_base - 1), self.old))


class SplitHead(SplitRows):
    def forward(self, hidden):
        return torch.cat([functional.linear(hidden, self.old), functional.linear(hidden, self.new)], dim=-1)


class SplitExperts(torch.nn.Module):
    """Two experts modules over the pairs that are theirs."""

    def __init__(self, experts, num_base):
        super().__init__()
        self.num_base = num_base
        self.old, self.new = copy.copy(experts), copy.copy(experts)
        stacks = {name: SplitRows(value, num_base) for name, value in experts.named_parameters()}
        self.old._parameters = {name: rows.old for name, rows in stacks.items()}
        self.new._parameters = {name: rows.new for name, rows in stacks.items()}
        for part in (self.old, self.new):
            part.num_experts = part.gate_up_proj.shape[0]

    def forward(self, hidden, expert, weight):
        out = torch.zeros_like(hidden)
        for part, first, chosen in ((self.old, 0, expert < self.num_base), (self.new, self.num_base, expert >= self.num_base)):
            token, slot = torch.where(chosen)
            if len(token):
                pairs = part(hidden[token], (expert[token, slot] - first).unsqueeze(1), weight[token, slot].unsqueeze(1))
                out = out.index_add(0, token, pairs)
        return out


def split(model, num_experts, num_rows):
    """Freezes the model and gives its additions modules of their own."""
    model.requires_grad_(False)
    for layer in model.model.layers:
        layer.mlp.experts = SplitExperts(layer.mlp.experts, num_experts)
        gate = SplitRows(layer.mlp.gate.weight, num_experts)
        del layer.mlp.gate.weight
        layer.mlp.gate.split = gate
        layer.mlp.gate.register_forward_pre_hook(join_router_rows)
    model.model.embed_tokens = SplitEmbedding(model.model.embed_tokens.weight, num_rows)
    model.lm_head = SplitHead(model.lm_head.weight, num_rows)


def join_router_rows(gate, _):
    """Router rows are few: the router reads them joined."""
    gate.weight = torch.cat([gate.split.old, gate.split.new])
