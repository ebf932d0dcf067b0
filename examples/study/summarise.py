#!/usr/bin/env python3
"""RESULTS.md and its plots out of a study's work folder. Tabulates and draws what `polygraft train --json` and
`polygraft eval compare --json` printed; intervals are theirs, none is computed here. Missing arms are named."""
import argparse
import hashlib
import json
import math
import platform
import subprocess
from collections import namedtuple
from pathlib import Path

FIRST_SEED = 17
TEXTS = {"corpus": "help pages", "guide": "installation guide"}
LABELS = {
    "dense-full": "dense, full", "dense-replay": "dense, full, replay", "moe-full": "MoE, full",
    "moe-replay": "MoE, full, replay", "lora": "MoE, LoRA, replay", "unprotected": "graft, unprotected",
    "prior": "graft, language prior (as MoE-LPR)", "ours": "ours, 0.15 %", "ours-tight": "ours, 0.10 %", "ours-wide": "ours, 0.20 %",
    "ours-strict": "ours, strict, 0.04 %", "ours-loose": "ours, loose, 0.5 %", "ours-polyak": "ours, strict by Polyak's steps",
    "ours-text": "ours, replay by text", "ours-self": "ours, self text", "ours-quoted": "ours, replay behind passages",
    "ours-tied": "ours, tied head", "ours-nomark": "ours, no mark", "ours-nohinge": "ours, no hinge", "ours-nocapture": "ours, no capture",
    "ours-balance": "ours, balanced experts", "ours-n4": "ours, 4 experts a layer", "ours-n16": "ours, 16 experts a layer",
}
LETTER_WIDTH = 6.2  # of the plots' letters, pixels, on average
COLOURS = {
    "dense": "#8c8c8c", "moe": "#1f77b4", "lora": "#9467bd", "unprotected": "#d62728", "prior": "#ff7f0e", "ours": "#2ca02c",
}

Run = namedtuple("Run", "language arm rate seed")
Figure = namedtuple("Figure", "value low high language")


def percent(value, digits=2):
    return "-" if value is None else f"{100 * value:+.{digits}f}"


def interval(figure, digits=2):
    return f"{percent(figure.value, digits)} [{percent(figure.low, digits)}, {percent(figure.high, digits)}]"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" if i == 0 else "---:" for i in range(len(header))) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


class Study:
    def __init__(self, work, rates, added):
        self.work, self.rates, self.added = work, rates, added

    def read(self, run, kind):
        file = self.work / f"{run.language}-{run.arm}-{run.rate}-s{run.seed}.{kind}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def runs(self, language, arm):
        """Finished runs of an arm at its chosen rate, one a seed."""
        seeds = range(FIRST_SEED, FIRST_SEED + 20)
        runs = [Run(language, arm, self.rates[arm][0], seed) for seed in seeds]
        return [run for run in runs if self.read(run, "corpus")]

    def probe(self, run):
        """The probe of the weights that were written, with its causes; None where it is missing."""
        trained = self.read(run, "train")
        file = self.work / f"{run.language}-{run.arm}-{run.rate}-s{run.seed}-run/metrics.jsonl"
        if trained is None or not file.exists():
            return None
        written = trained["probe"][run.language]["bits_per_byte"]
        lines = [json.loads(line) for line in file.read_text().splitlines() if '"probe"' in line]
        return next((line["probe"] for line in reversed(lines) if line["probe"][run.language]["bits_per_byte"] == written), None)

    def changes(self, run, text):
        """(old languages' figures, the new language's test) of one comparison; None where it is missing."""
        comparison = self.read(run, text)
        if comparison is None:
            return None
        old = [Figure(t["delta"], t["ci_low"], t["ci_high"], t["language"]) for t in comparison["tests"] if not t["is_new"]]
        new = next((t for t in comparison["tests"] if t["is_new"]), None)
        return old, new


def hull(figures):
    """The mean over seeds, and what every seed's interval lies within; the language of the largest value."""
    return Figure(sum(f.value for f in figures) / len(figures), min(f.low for f in figures), max(f.high for f in figures),
                  max(figures, key=lambda f: f.value).language)


def arm_row(study, language, arm):
    runs = study.runs(language, arm)
    help_pages = [study.changes(run, "corpus") for run in runs]
    guide = [found for found in (study.changes(run, "guide") for run in runs) if found]
    worst = hull([max(old, key=lambda f: f.value) for old, _ in help_pages])
    mean = sum(sum(f.value for f in old) / len(old) for old, _ in help_pages) / len(help_pages)
    new = sum(test["candidate"] for _, test in help_pages) / len(help_pages)
    against = [next(t for t in found["tests"] if t["is_new"]) for found in (study.read(run, "against") for run in runs) if found]
    against = hull([Figure(t["delta"], t["ci_low"], t["ci_high"], language) for t in against]) if against else None
    trained = [found for found in (study.read(run, "train") for run in runs) if found]
    seconds = [run["seconds"] for run in trained]
    label = LABELS[arm] + ("" if all(run["within_budget"] for run in trained) else " (no probe inside its budget)")
    row = [label, f"{new:.4f}", interval(against, 1) if against else "-", worst.language, interval(worst), percent(mean)]
    if guide:
        guide_new = [test["candidate"] for _, test in guide if test and test["candidate"] is not None]
        guide_worst = hull([max(old, key=lambda f: f.value) for old, _ in guide])
        row += [f"{sum(guide_new) / len(guide_new):.4f}" if guide_new else "none", guide_worst.language, interval(guide_worst)]
    else:
        row += ["missing", "", "missing"]
    return row + [f"{sum(seconds) / len(seconds):.0f}" if seconds else "-", ", ".join(str(run.seed) for run in runs)]


ARM_HEADER = ["arm", "new, help", "against unprotected, % [95 %]", "worst old, help", "change, % [95 %]", "mean old, %",
              "new, guide", "worst old, guide", "change, % [95 %]", "training, s", "seeds"]


def language_section(study, language):
    done = [arm for arm in study.rates if study.runs(language, arm)]
    lines = [f"## {language}", ""] + table(ARM_HEADER, [arm_row(study, language, arm) for arm in done])
    missing = [LABELS[arm] for arm in study.rates if arm not in done]
    if missing:
        lines += [f"Missing: {'; '.join(missing)}.", ""]
    return lines + [f"![New language against worst old language]({language}.svg)", ""]


def origins_section(study, language):
    """Upcycled against trained from scratch, at equal tokens: before a language is added, and after."""
    before = study.work / "upcycled-against-scratch.corpus.json"
    if not before.exists():
        return ["Missing.", ""]
    tests = json.loads(before.read_text())["tests"]
    rows = [[t["language"], f"{t['baseline']:.4f}", f"{t['candidate']:.4f}", percent(t["delta"]),
             f"[{percent(t['ci_low'])}, {percent(t['ci_high'])}]"] for t in tests]
    lines = table(["before", "from scratch", "upcycled", "change, %", "95 %"], rows)
    after = []
    for origin, label in (("scratch", "from scratch"), ("upcycled", "upcycled")):
        if study.runs(f"{origin}-{language}", "ours"):
            after.append([f"{label}, ours"] + arm_row(study, f"{origin}-{language}", "ours")[1:])
    return lines + table(ARM_HEADER, after)


def worst_change(comparison, leave_out=()):
    """The old language that lost most, as a cell; languages that the baseline does not have are left out."""
    tests = [t for t in comparison["tests"] if not t["is_new"] and t["language"] not in leave_out]
    worst = max(tests, key=lambda t: t["delta"])
    return f"{worst['language']} {interval(Figure(worst['delta'], worst['ci_low'], worst['ci_high'], worst['language']))}"


def stack_section(study, first):
    """Languages added one after the other, and packs that were trained apart put together."""
    rate = study.rates["ours"][0]
    name, added, rows = f"{first}-ours-{rate}-s{FIRST_SEED}", [first], []
    while True:
        below = f"{name}-fused-"  # what the next language was grafted onto
        found = list(study.work.glob(f"{below}*-ours-{rate}-s{FIRST_SEED}.stack.json"))
        if not found:
            break
        next_file = min(found, key=lambda file: len(file.name))  # the others stand on it
        next_name = next_file.name.removesuffix(".stack.json")
        language = next_name.removeprefix(below).removesuffix(f"-ours-{rate}-s{FIRST_SEED}")
        step = json.loads(next_file.read_text())
        whole = json.loads((study.work / f"{next_name}.base.json").read_text())
        new = next(t for t in step["tests"] if t["language"] == language)
        rows.append([f"{language} on {', '.join(added)}", f"{new['candidate']:.4f}", worst_change(step), worst_change(whole, added)])
        name, added = next_name, [*added, language]
    lines = table(["added", "new", "worst of all before, %", "worst of the base's languages since the base, %"], rows)
    together = []
    for file in sorted(study.work.glob("together-*.json")):
        model = file.stem.removeprefix("together-")
        others = [first, *study.added] if model == "base" else [code for code in study.added if not model.startswith(f"{code}-")]
        together.append([model, worst_change(json.loads(file.read_text()), others)])
    if together:
        lines += ["Packs trained apart, put together on the base:", ""]
        lines += table(["against", "worst of the languages that it has, %"], together)
    return lines if rows or together else ["Missing.", ""]


def quotation_section(study):
    """Old pages behind a passage of the new language: what text pays that quotes or translates it. No arm is held to this."""
    rows = []
    for language in study.added:
        for arm in study.rates:
            found = [study.changes(run, "behind") for run in study.runs(language, arm)]
            found = [old for old, _ in filter(None, found)]
            if not found:
                continue
            worst = hull([max(old, key=lambda f: f.value) for old in found])
            mean = sum(sum(f.value for f in old) / len(old) for old in found) / len(found)
            rows.append([f"{language}, {LABELS[arm]}", worst.language, interval(worst), percent(mean)])
    return table(["arm", "worst old", "change, % [95 %]", "mean old, %"], rows) if rows else ["Missing.", ""]


def tuning_section(study, language):
    """Every rate that was tried, on the selection split: the probe's text, which no arm trains on and no result reports."""
    rows = []
    for arm, rates in study.rates.items():
        tried = {rate: study.read(Run(language, arm, rate, FIRST_SEED), "train") for rate in dict.fromkeys(rates)}
        tried = {rate: trained["probe"] for rate, trained in tried.items() if trained}
        results = {rate: (probe[language]["bits_per_byte"],
                          max(line["delta_relative"] for code, line in probe.items() if code != language))
                   for rate, probe in tried.items()}
        costs = {rate: math.log(new) + math.log1p(worst) for rate, (new, worst) in results.items()}
        notes = {min(costs, key=costs.get): "lowest cost"} if costs else {}
        notes[rates[0]] = "chosen" if len(tried) > 1 else "used; no other was tried yet"
        for rate, (new, worst) in results.items():
            rows.append([LABELS[arm], rate, f"{new:.4f}", percent(worst), f"{costs[rate]:.4f}", notes.get(rate, "")])
    return table(["arm", "learning rate", "new", "worst old, %", "cost", ""], rows)


CAUSES = ("tokenizer", "head", "router", "experts")
POSITIONS = ("1", "2-4", "5-16", "17-64", "65-")
EXPLAINED = ("unprotected", "prior", "ours", "ours-strict", "ours-polyak")


def worst_probed(probe, language):
    """(code, line) of the old language that lost most."""
    return max(((code, line) for code, line in probe.items() if code != language), key=lambda item: item[1]["delta_relative"])


def causes_section(study):
    """The worst old language's change on the selection split, by cause and by place in the document."""
    rows = []
    for language in study.added:
        for arm in EXPLAINED:
            probe = next((found for found in map(study.probe, study.runs(language, arm)) if found), None)
            if probe is None:
                continue
            code, line = worst_probed(probe, language)
            places = line["relative_by_position"]
            rows.append([f"{language}, {LABELS[arm]}", code, percent(line["delta_relative"])]
                        + [percent(line["relative_by_cause"][cause], 3) for cause in CAUSES]
                        + [percent(places[place]) if place in places else "-" for place in POSITIONS]
                        + [percent(line["leak_share"]), percent(probe[language]["leak_share"], 0)])
    header = ["arm", "worst old", "change, %", *(f"by {cause}" for cause in CAUSES), *(f"tokens {place}" for place in POSITIONS),
              "its tokens at new experts, %", "new language's, %"]
    return table(header, rows) if rows else ["Missing.", ""]


def variant(study, language, arm):
    """One arm in a few words, against `ours`; "not run" where it is missing."""
    runs, own = study.runs(language, arm), study.runs(language, "ours")
    if not runs or not own:
        return f"{LABELS[arm]}: not run"
    old, new = study.changes(runs[0], "corpus")
    _, own_new = study.changes(own[0], "corpus")
    worst = max(old, key=lambda figure: figure.value)
    return (f"{LABELS[arm]}: new {percent(new['candidate'] / own_new['candidate'] - 1, 1)} % against ours, "
            f"worst old {worst.language} {interval(worst)} %")


def questions_section(study, first):
    """What the method's miniature had left open, a line each."""
    lines = ["1. What remains of the cost to the new language is in the table above (against unprotected); is balance among the new "
             f"experts worth having? {variant(study, first, 'ours-balance')}.",
             "2. What do the parts do? " + "; ".join(variant(study, first, arm) for arm in (
                 "ours-tied", "ours-nomark", "ours-nohinge", "ours-nocapture", "ours-text", "ours-n4", "ours-n16")) + ".",
             f"3. Old text that the base writes itself, instead of real text: {variant(study, first, 'ours-self')}."]
    near = []
    for language in study.added:
        probe = next((found for found in map(study.probe, study.runs(language, "ours")) if found), None)
        if probe:
            code, line = worst_probed(probe, language)
            early = [percent(line["relative_by_position"].get(place)) for place in POSITIONS]
            near.append(f"{language}: {code} " + ", ".join(early))
    lines.append("4. Near and far languages, and long documents: the worst old language's change at tokens "
                 f"{', '.join(POSITIONS)} of a document, % (selection split): {'; '.join(near) or 'not run'}.")
    return lines + [""]


def overlap(one, other):
    """Of two boxes (left, top, right, bottom), in square pixels."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)


def label_box(label, x, y, spread, taken, right):
    """Where a point's label covers least of what is taken; of equals the first."""
    width, height = LETTER_WIDTH * len(label), 13
    places = [(max(x + 9, spread[1] + 4), y - height / 2), (x + 7, y - height - 4), (x + 7, y + 4), (x - 9 - width, y - height / 2),
              (x - 7 - width, y - height - 4), (x - 7 - width, y + 4), (x - width / 2, y - height - 7), (x - width / 2, y + 7)]
    places += [(x + 9, y - height / 2 + step) for step in (-27, 27, -41, 41)]
    boxes = [(left, top, left + width, top + height) for left, top in places]
    return min(boxes, key=lambda box: sum(overlap(box, other) for other in taken) + 1e3 * (box[2] > right) + 1e3 * (box[0] < 72))


def marker(arm, x, y, spread, box):
    colour = COLOURS[arm.split("-")[0]]
    label = LABELS[arm]
    parts = [f'<line x1="{spread[0]:.1f}" x2="{spread[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="1.5"/>',
             f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"><title>{label}</title></circle>',
             f'<text x="{box[0]:.1f}" y="{box[3] - 3:.1f}" fill="{colour}">{label}</text>']
    middle = (box[1] + box[3]) / 2
    if abs(middle - y) > 20:
        parts.append(f'<line x1="{x:.1f}" x2="{box[0]:.1f}" y1="{y:.1f}" y2="{middle:.1f}" stroke="{colour}" stroke-width="0.5"/>')
    return parts


def pareto(study, language):
    """Worst old change (logarithmic) against the new language's bits per byte; lower left is better. An SVG file's text."""
    width, height, left, right, top, bottom = 760, 420, 70, 150, 30, 50
    points = {}
    for arm in study.rates:
        found = [study.changes(run, "corpus") for run in study.runs(language, arm)]
        if found:
            points[arm] = (hull([max(old, key=lambda f: f.value) for old, _ in found]),
                           sum(test["candidate"] for _, test in found) / len(found))
    if not points:
        return None
    decades = (-4, 0 if max(figure.high for figure, _ in points.values()) <= 1 else 1)
    values = [new for _, new in points.values()]
    margin = 0.15 * (max(values) - min(values)) or 0.1
    low, high = min(values) - margin, max(values) + margin
    x_of = lambda change: left + (math.log10(max(change, 10 ** decades[0])) - decades[0]) / (decades[1] - decades[0]) * (
        width - left - right)
    y_of = lambda new: top + (high - new) / (high - low) * (height - top - bottom)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>']
    for decade in range(decades[0], decades[1] + 1):
        x = x_of(10 ** decade)
        parts += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom}" stroke="#ddd"/>',
                  f'<text x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">+{100 * 10 ** decade:g} %</text>']
    for i in range(5):
        value = low + (high - low) * i / 4
        parts += [f'<line x1="{left}" x2="{width - right}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}" stroke="#eee"/>',
                  f'<text x="{left - 8}" y="{y_of(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>']
    places = {arm: (x_of(worst.value), y_of(new), (x_of(worst.low), x_of(worst.high))) for arm, (worst, new) in points.items()}
    taken = [(min(x - 6, spread[0]), y - 6, max(x + 6, spread[1]), y + 6) for x, y, spread in places.values()]
    for arm, (x, y, spread) in places.items():
        taken.append(label_box(LABELS[arm], x, y, spread, taken, width))
        parts += marker(arm, x, y, spread, taken[-1])
    parts += [f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">worst old language, change of bits '
              "per byte</text>",
              f'<text x="16" y="{height / 2}" transform="rotate(-90 16 {height / 2})" text-anchor="middle">{language}, bits per '
              "byte</text>", "</svg>"]
    return "\n".join(parts) + "\n"


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.exists() else "none"


def origin(work, program, command):
    """What made the figures: command, version, machine, hashes."""
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    processor = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), platform.machine())
    models = [f"{name} {digest(work / name / 'model.safetensors')}" for name in ("base", "dense") if (work / name).exists()]
    lines = ["## Where the figures come from", "", f"    {command}", "", f"{version} ({digest(Path(program))}), {processor}.",
             f"Models: {', '.join(models)}. SHA-256, first 16 digits; of the texts:", ""]
    languages = sorted({file.name.split(".")[0] for file in (work / "data").glob("*.jsonl")})
    kinds = ("train", "heldout", "guide")
    return lines + table(["", *kinds], [[code, *(digest(work / f"data/{code}.{kind}.jsonl") for kind in kinds)] for code in languages])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="the study's work folder")
    parser.add_argument("--rates", type=Path, required=True, help="learning_rates.txt")
    parser.add_argument("--program", required=True, help="the polygraft that made the figures")
    parser.add_argument("--command", required=True, help="the command to be stated")
    parser.add_argument("--out", type=Path, required=True, help="folder of RESULTS.md and its plots")
    parser.add_argument("languages", nargs="+", help="languages that were added")
    args = parser.parse_args()
    lines = [line.split() for line in args.rates.read_text().splitlines() if line and not line.startswith("#")]
    study = Study(args.work, {fields[0]: fields[1:] for fields in lines}, args.languages)
    text = ["# Results of the study", "", "Made by run.sh; README.md says what each arm is and how to read this. Bits per byte of",
            "held-out pages; changes are relative to the model that the arm started from, intervals are `eval compare`'s over",
            "documents (over several seeds: the mean, and what all seeds' intervals lie within). Seconds are wall clock: where other",
            "work shared the cores, they say little.", ""]
    for language in args.languages:
        text += language_section(study, language)
        plot = pareto(study, language)
        if plot:
            (args.out / f"{language}.svg").write_text(plot)
    text += ["## Behind a passage of the new language", "", "Old help pages behind the first words of one of the new language's, "
             "against what the arm started from.", ""] + quotation_section(study)
    text += ["## Upcycled against from scratch", ""] + origins_section(study, args.languages[0])
    text += ["## One language after the other", ""] + stack_section(study, args.languages[0])
    text += ["## Where the change is", "", "Of the worst old language, on the selection split, as the probe splits it.", ""]
    text += causes_section(study)
    text += ["## Questions", ""] + questions_section(study, args.languages[0])
    text += ["## Tuning", "", f"On the selection split, {args.languages[0]}, seed {FIRST_SEED}: cost = ln(new) + ln(1 + worst old).",
             ""] + tuning_section(study, args.languages[0])
    text += origin(args.work, args.program, args.command)
    (args.out / "RESULTS.md").write_text("\n".join(text).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
