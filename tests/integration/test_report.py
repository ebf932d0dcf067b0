"""The report of a real run in headless Chromium: no complaint, no request, everything drawn and readable, on a phone, in the
dark, on paper and read aloud; and the same with names that try to be markup."""

import hashlib
import json
import re
import shutil
import unittest

from chromium import Chromium
from colours import closest
from harness import NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh, load_json, run

RUN = WORK / "pipeline" / "run"  # integration.pipeline leaves it
PHONE_WIDTH = 360
HOSTILE = ['<script>window.hacked = 1<\\script>', '"><img src=x onerror=window.hacked=1>', "' onload='window.hacked=1",
           "שלום עולם", "🦜 🇮🇩 e\u0301", "\u202eevil", "{{TITLE}}{{#ROW}}", "&lt;b&gt;&amp;"]

# Pixels of each canvas: how many are painted, and for curves how many carry each one's colour.
CANVASES = """[...document.querySelectorAll("canvas")].map((canvas) => {
  const {width, height} = canvas;
  const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const chart = window.Chart.getChart(canvas);
  const probe = document.createElement("canvas").getContext("2d");
  const rgb = (colour) => { probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1); return probe.getImageData(0, 0, 1, 1).data; };
  const wanted = chart ? chart.data.datasets.map((set) => rgb(set.borderColor)) : [];
  const hits = wanted.map(() => 0), colours = new Set();
  let painted = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 0) continue;
    ++painted;
    colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    wanted.forEach((w, c) => { if (Math.abs(data[i] - w[0]) + Math.abs(data[i + 1] - w[1]) + Math.abs(data[i + 2] - w[2]) < 24) ++hits[c]; });
  }
  return {curves: chart !== undefined, width, height, painted, colours: colours.size, hits};
})"""

# Elements that stick out of the page to the right, but for those inside a box that scrolls by itself.
OVERFLOWING = """[...document.body.querySelectorAll("*")].filter((element) =>
  !element.closest(".scroll, pre, .sr") && element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
).map((element) => element.outerHTML.slice(0, 120))"""

# Texts whose contrast with what lies behind them is below WCAG's 4.5.
PALE = """(() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] === undefined ? 1 : n[3]]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => { const l = [0, 1, 2].map((i) => { const v = c[i] / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
                         return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const behind = (element) => element === null ? [255, 255, 255, 1]
      : over(parse(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE"].includes(element.tagName) || element.getClientRects().length === 0) continue;
    const ground = behind(element), ink = over(parse(getComputedStyle(element).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(node.data.trim().slice(0, 40) + " " + ((a + 0.05) / (b + 0.05)).toFixed(2));
  }
  return found;
})()"""

SMALLEST_TEXT = """Math.min(...[...document.body.querySelectorAll("*")].filter((e) => e.childNodes.length && [...e.childNodes].some(
  (n) => n.nodeType === 3 && n.data.trim()) && e.getClientRects().length).map((e) => parseFloat(getComputedStyle(e).fontSize)))"""


def complaints(events):
    """What the console holds, dialogs, and exceptions."""
    out = []
    for method, parameters in events:
        if method in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening") or method == "Runtime.consoleAPICalled":
            out.append((method, json.dumps(parameters)[:400]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            out.append((method, parameters["entry"]["text"]))
    return out


def requests(events):
    return [parameters["request"]["url"] for method, parameters in events if method == "Network.requestWillBeSent"]


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Chromium()
        cls.page = RUN / "report.html"

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()

    def open(self, page):
        self.browser.media()
        self.browser.resize(1280)
        self.browser.open(page)

    def check_drawn(self):
        canvases = self.browser.evaluate(CANVASES)
        self.assertEqual(sum(canvas["curves"] for canvas in canvases), 4)
        self.assertEqual(len(canvases), 5)  # and the routing map
        for canvas in canvases:
            self.assertGreater(canvas["painted"], 0.01 * canvas["width"] * canvas["height"], canvas)
            self.assertGreater(canvas["colours"], 10, canvas)
            self.assertTrue(all(hits > 30 for hits in canvas["hits"]), canvas)

    def check_no_scrolling_sideways(self):
        wide, room = self.browser.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        self.assertEqual(wide, room)
        self.assertEqual(self.browser.evaluate(OVERFLOWING), [])

    def test_nothing_is_complained_of_or_asked_for(self):
        self.open(self.page)
        self.assertEqual(complaints(self.browser.events), [])
        self.assertEqual(requests(self.browser.events), [self.page.resolve().as_uri()])
        # The checks can fail: an error is seen, and a request is seen (and refused by the page's own policy).
        self.browser.evaluate("console.error('seen'); new Image().src = 'https://example.invalid/x.png'; 1")
        self.browser.settle()
        self.assertTrue(any("seen" in text for _, text in complaints(self.browser.events)))
        self.assertTrue(any("violates" in text for _, text in complaints(self.browser.events)))

    def test_every_chart_is_drawn_in_both_themes(self):
        self.open(self.page)
        self.check_drawn()
        light = self.browser.evaluate("getComputedStyle(document.body).backgroundColor")
        self.browser.media("dark")
        self.check_drawn()
        dark = self.browser.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = [sum(map(float, re.findall(r"[\d.]+", colour)[:3])) for colour in (light, dark)]
        self.assertGreater(brightness[0], 700)
        self.assertLess(brightness[1], 120)

    def test_eight_curves_can_be_told_apart(self):
        palettes = re.findall(r"(light|dark): \[([^\]]+)\]", self.page.read_text())
        self.assertEqual([theme for theme, _ in palettes], ["light", "dark"])
        for theme, listed in palettes:
            colours = re.findall("#[0-9a-f]{6}", listed)
            self.assertGreaterEqual(len(colours), 8)
            self.assertGreater(closest(colours)[0], 30, (theme, closest(colours)))

    def test_the_budget_is_no_language(self):
        self.open(self.page)
        sets = self.browser.evaluate("""[...document.querySelectorAll("canvas[data-chart]")].flatMap((canvas) =>
            Chart.getChart(canvas).data.datasets.map((set) => [set.label, set.pointRadius, set.borderDash.length]))""")
        limits = [entry for entry in sets if entry[0] == "budget at this step"]
        self.assertEqual(limits, [["budget at this step", 0, 2]])
        self.assertTrue(all(radius > 0 and dash == 0 for name, radius, dash in sets if name in (*OLD_LANGUAGES, NEW_LANGUAGE)))
        text = self.browser.evaluate("document.body.innerText")
        for said in ("at the end it is max_relative_bpb", "the end of the training text", "recut: how many"):
            self.assertIn(said, text)

    def test_a_table_that_goes_on_says_so(self):
        self.open(self.page)
        self.browser.resize(PHONE_WIDTH, phone=True)
        shadows = self.browser.evaluate("""[...document.querySelectorAll("section > .scroll")].filter(
            (box) => box.scrollWidth > box.clientWidth).map((box) => getComputedStyle(box).backgroundAttachment)""")
        self.assertTrue(shadows)
        self.assertEqual(set(shadows), {"local, local, scroll, scroll"})

    def test_texts_stand_out_in_both_themes(self):
        self.open(self.page)
        self.browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; }); 1")
        for scheme in ("light", "dark"):
            self.browser.media(scheme)
            self.assertEqual(self.browser.evaluate(PALE), [], scheme)

    def test_a_phone_shows_it_without_scrolling_sideways(self):
        self.open(self.page)
        for width in (PHONE_WIDTH, 768, 1280):
            self.browser.resize(width, phone=width == PHONE_WIDTH)
            self.assertEqual(self.browser.evaluate("window.innerWidth"), width)
            self.check_no_scrolling_sideways()
            self.assertGreaterEqual(self.browser.evaluate(SMALLEST_TEXT), 11)
            self.check_drawn()

    def test_paper_has_everything(self):
        self.open(self.page)
        self.browser.media("dark")
        pdf = self.browser.pdf()
        self.assertTrue(pdf.startswith(b"%PDF"))
        self.assertGreaterEqual(len(re.findall(rb"/Type\s*/Page\b", pdf)), 2)
        self.browser.media("dark", "print")
        self.assertEqual(self.browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")
        self.assertEqual(self.browser.evaluate(PALE), [])
        self.assertTrue(self.browser.evaluate("[...document.querySelectorAll('details')].every((d) => d.open)"))

    def test_a_screen_reader_gets_the_numbers(self):
        self.open(self.page)
        nodes = self.browser.call("Accessibility.getFullAXTree")["nodes"]
        seen = [(node.get("role", {}).get("value"), node.get("name", {}).get("value", "")) for node in nodes
                if not node.get("ignored")]
        headings = [name for role, name in seen if role == "heading"]
        self.assertRegex(headings[0], "Gate passed|Gate failed|Not enough evidence")  # the verdict comes first
        images = [name for role, name in seen if role in ("image", "img")]
        self.assertEqual(len(images), 6, images)  # four charts, the routing map, the tree
        self.assertTrue(all(len(name) > 20 for name in images), images)
        report = load_json(RUN / "report.json")
        behind = self.browser.evaluate("[...document.querySelectorAll('figure')].map((f) => [...f.querySelectorAll('tbody th')]"
                                       ".map((th) => th.textContent))")
        self.assertEqual(behind, [[curve["name"] for curve in chart["curves"]] for chart in report["charts"]])
        bare = self.browser.evaluate("[...document.querySelectorAll('table')].filter((t) => !t.querySelector('th[scope]')).length")
        self.assertEqual(bare, 0)

    def test_the_page_says_what_the_run_found(self):
        self.open(self.page)
        text = self.browser.evaluate("document.body.innerText")
        report = load_json(RUN / "report.json")
        for title in [table["title"] for table in report["tables"]] + [m["title"] for m in report["heat_maps"]]:
            self.assertIn(title, text)
        for language in report["comparison"]["causes"]:
            self.assertIn(language, text)
        self.assertIn("by cause", text)
        self.assertIn("seed: 17", self.browser.evaluate("document.body.textContent"))
        self.assertIn("Provenance", text)

    def test_hostile_names_are_text(self):
        run_dir = hostile_run(fresh("report-hostile"))
        run("report", run_dir)
        self.open(run_dir / "report.html")
        self.browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; }); 1")
        self.assertEqual(complaints(self.browser.events), [])
        self.assertEqual(len(requests(self.browser.events)), 1)
        self.assertIsNone(self.browser.evaluate("window.hacked"))
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('script').length"), 2)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('img, iframe, object, link, b b').length"), 0)
        text = self.browser.evaluate("document.body.textContent")
        for name in HOSTILE:
            self.assertIn(name.replace("\u202e", "\ufffd"), text)
        self.check_drawn()
        self.browser.resize(PHONE_WIDTH, phone=True)
        self.check_no_scrolling_sideways()


def hostile_run(folder):
    """The run with hostile names for languages, words and the model, wherever a stage has written one."""
    run_dir = folder / "run"
    shutil.copytree(RUN, run_dir, ignore=shutil.ignore_patterns("model", "training", "*.safetensors"))
    metrics = (RUN / "metrics.jsonl").resolve().read_text()
    names = {"de": HOSTILE[0], "en": HOSTILE[1], "es": HOSTILE[2], "id": HOSTILE[3]}

    def renamed(value):
        if isinstance(value, dict):
            return {names.get(key, key): renamed(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [renamed(entry) for entry in value]
        return names.get(value, value) if isinstance(value, str) else value

    for file in run_dir.glob("stages/*/*.json"):
        if not file.name.startswith(("results_", "stamp")):
            file.write_text(json.dumps(renamed(load_json(file))))
    settings = run_dir / "pipeline.resolved.yaml"
    settings.write_text(settings.read_text().replace("new_languages: [id]", f"new_languages: [{json.dumps(names['id'])}]"))
    keys = load_json(run_dir / "stage-keys.json")
    keys["config"] = hashlib.sha256(settings.read_bytes()).hexdigest()
    (run_dir / "stage-keys.json").write_text(json.dumps(keys))
    lines = [json.dumps(renamed(json.loads(line))) for line in metrics.splitlines()]
    (run_dir / "metrics.jsonl").unlink()
    (run_dir / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    words = run_dir / "stages" / "heldout" / "tokens.json"
    report = load_json(words)
    for language, word in zip(report["languages"].values(), HOSTILE[4:], strict=True):
        language["longest_words"][0]["word"] = word
    words.write_text(json.dumps(report))
    for results in run_dir.glob("stages/evaluate*/results_*.json"):  # also the tasks, which are parts of file names
        tasks = {f"bpb_{old}": f"bpb_{new}" for old, new in names.items()}
        document = load_json(results)
        for key in ("results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples"):
            document[key] = {tasks.get(task, task): value for task, value in document.get(key, {}).items()}
        document["polygraft"]["languages"] = renamed(document["polygraft"]["languages"])
        results.write_text(json.dumps(document))
        for old, new in tasks.items():
            for samples in results.parent.glob(f"samples_{old}_*"):
                samples.rename(samples.with_name(samples.name.replace(old, new)))
    return run_dir


if __name__ == "__main__":
    unittest.main()
