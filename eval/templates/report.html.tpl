{{%AUTOESCAPE context="HTML"}}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>{{TITLE}}: {{HEADLINE}}</title>
<style>
{{STYLE:none}}
</style>
</head>
<body>
<header class="verdict {{OUTCOME}}">
<div class="page">
<p class="eyebrow">{{TITLE}}</p>
<h1><span class="mark" aria-hidden="true">{{MARK}}</span>{{HEADLINE}}</h1>
<p class="lead">{{DETAIL}}</p>
<dl class="tiles">
{{#TILE}}
<div class="tile"><dt>{{LABEL}}</dt><dd><b>{{VALUE}}</b> <span>{{NOTE}}</span></dd></div>
{{/TILE}}
</dl>
</div>
</header>
<main class="page">
{{#FOREST}}
<section>
<h2>{{HEADING}}</h2>
<p class="hint">{{HINT}}</p>
<table class="forest">
<thead>
<tr><th scope="col">Language</th><th scope="col" class="num">Before</th><th scope="col" class="num">After</th>
<th scope="col" class="axis"><span class="sr">Change, drawn</span>
<div class="track" aria-hidden="true">{{#TICK}}<span class="tick" style="left:{{AT}}%">{{TEXT}}</span>{{/TICK}}</div></th>
<th scope="col" class="num">Change</th><th scope="col" class="num">p</th><th scope="col" class="num">Documents</th><th scope="col">Verdict</th></tr>
</thead>
<tbody>
{{#ROW}}
<tr class="{{OUTCOME}}">
<th scope="row">{{LANGUAGE}}{{#METRIC_NAME}} <small>{{METRIC}}</small>{{/METRIC_NAME}}</th>
<td class="num before" data-label="before">{{BASELINE}}</td>
<td class="num after" data-label="after">{{CANDIDATE}}</td>
<td class="axis"><div class="track" aria-hidden="true">{{#GRID}}<span class="grid" style="left:{{AT}}%"></span>{{/GRID}}<span class="zero" style="left:{{ZERO}}%"></span><span class="margin" style="left:{{MARGIN_AT}}%"></span>{{#INTERVAL}}<span class="whisker" style="left:{{LOW}}%;width:{{WIDTH}}%"></span>{{#DECIDES}}<span class="bound" style="left:{{BOUND}}%"></span>{{/DECIDES}}<span class="dot" style="left:{{DOT}}%"></span>{{/INTERVAL}}</div></td>
<td class="num change">{{#INTERVAL}}<b>{{CHANGE}}</b> <small>{{INTERVAL_TEXT}}</small>{{/INTERVAL}}{{#OWN_MARGIN}} <small>margin {{MARGIN}}</small>{{/OWN_MARGIN}}</td>
<td class="num p">{{P}}</td>
<td class="num docs">{{DOCUMENTS}}</td>
<td class="says"><span class="badge"><span aria-hidden="true">{{MARK}}</span> {{OUTCOME_TEXT}}</span></td>
</tr>
{{/ROW}}
</tbody>
</table>
{{#REASONS}}
<ul class="reasons">
{{#REASON}}<li><b>{{WHO}}</b> {{WHAT}}</li>
{{/REASON}}
</ul>
{{/REASONS}}
<p class="legend"><span><span class="key dotkey" aria-hidden="true"></span>change</span> <span><span class="key whiskerkey" aria-hidden="true"></span>{{CONFIDENCE}} interval</span> <span><span class="key boundkey" aria-hidden="true"></span>bound, which decides</span> <span><span class="key marginkey" aria-hidden="true"></span>margin {{MARGIN}}</span></p>
</section>
{{/FOREST}}
{{#METHOD}}<p class="hint method">{{TEXT}}</p>{{/METHOD}}
{{#PART}}
{{#CHARTS}}
<section>
<h2>Over training</h2>
<div class="charts">
{{#CHART}}
<figure>
<figcaption>{{NAME}}</figcaption>
<div class="canvas"><canvas role="img" aria-label="{{ARIA}}" data-chart="{{DATA}}"></canvas></div>
{{#NOTE}}<p class="hint note">{{TEXT}}</p>{{/NOTE}}
<details><summary>Numbers</summary>
<div class="scroll" tabindex="0"><table class="plain">
<thead><tr><th scope="col">Curve</th><th scope="col" class="num">Points</th><th scope="col" class="num">First</th><th scope="col" class="num">Lowest</th><th scope="col" class="num">Highest</th><th scope="col" class="num">Last</th></tr></thead>
<tbody>
{{#CURVE}}<tr><th scope="row">{{NAME}}</th><td class="num">{{POINTS}}</td><td class="num">{{FIRST}}</td><td class="num">{{LOWEST}}</td><td class="num">{{HIGHEST}}</td><td class="num">{{LAST}}</td></tr>
{{/CURVE}}
</tbody></table></div>
</details>
</figure>
{{/CHART}}
</div>
</section>
{{/CHARTS}}
{{#HEAT_MAP}}
<section>
<h2>{{NAME}}</h2>
{{#TREE}}
<p class="hint">The further left two branches meet, the more alike the languages are routed.</p>
<div class="tree" role="img" aria-label="{{ARIA}}">
<div class="leaves" aria-hidden="true">{{#LEAF}}<span>{{NAME}}</span>{{/LEAF}}</div>
<div class="branches" aria-hidden="true">
<svg viewBox="0 0 100 {{NUM_LEAVES}}" preserveAspectRatio="none" style="height:calc({{NUM_LEAVES}} * 1.9rem)">{{#JOIN}}<path d="M{{X1}} {{Y1}}H{{X}}V{{Y2}}H{{X2}}"/>{{/JOIN}}</svg>
<div class="track">{{#TREE_TICK}}<span class="tick" style="left:{{AT}}%">{{TEXT}}</span>{{/TREE_TICK}}</div>
</div>
</div>
{{/TREE}}
<div class="scroll" tabindex="0"><table class="heat">
<thead><tr><td></td>{{#COLUMN}}<th scope="col">{{NAME}}</th>{{/COLUMN}}</tr></thead>
<tbody>
{{#HEAT_ROW}}<tr><th scope="row">{{NAME}}</th>{{#CELL}}<td class="{{SIGN}}" style="--heat:{{HEAT}}">{{VALUE}}</td>{{/CELL}}</tr>
{{/HEAT_ROW}}
</tbody></table></div>
</section>
{{/HEAT_MAP}}
{{#ROUTING}}
<section>
<h2>{{NAME}}</h2>
<p class="hint">A band for each layer, in it a row for each language, a column for each expert; the darker, the larger its share of the language's tokens.</p>
<div class="scroll" tabindex="0"><canvas class="routing" role="img" aria-label="{{ARIA}}" data-routing="{{DATA}}"></canvas></div>
{{#ROUTING_TABLE}}
<details><summary>Leading experts</summary>
<div class="scroll" tabindex="0"><table class="plain">
<thead><tr>{{#COLUMN}}<th scope="col" class="{{KIND}}">{{NAME}}</th>{{/COLUMN}}</tr></thead>
<tbody>
{{#TABLE_ROW}}<tr>{{#CELL}}<td class="{{KIND}}">{{VALUE}}</td>{{/CELL}}</tr>
{{/TABLE_ROW}}
</tbody></table></div>
</details>
{{/ROUTING_TABLE}}
</section>
{{/ROUTING}}
{{#TABLE}}
<section>
<h2>{{NAME}}</h2>
{{#NOTE}}<p class="hint">{{TEXT}}</p>{{/NOTE}}
<div class="scroll" tabindex="0"><table class="plain">
<thead><tr>{{#COLUMN}}<th scope="col" class="{{KIND}}">{{NAME}}</th>{{/COLUMN}}</tr></thead>
<tbody>
{{#TABLE_ROW}}<tr>{{#CELL}}<td class="{{KIND}}">{{VALUE}}</td>{{/CELL}}</tr>
{{/TABLE_ROW}}
</tbody></table></div>
</section>
{{/TABLE}}
{{/PART}}
{{#CONFIG}}
<section>
<h2>Resolved configuration</h2>
<details><summary>YAML</summary><pre tabindex="0">{{YAML}}</pre></details>
</section>
{{/CONFIG}}
<footer>Made by polygraft.{{#OTHER_FORMS}} The same numbers for machines are in report.json; for a pull request, in report.md.{{/OTHER_FORMS}}</footer>
</main>
<script>
{{CHART_LIBRARY:none}}
</script>
<script>
{{SCRIPT:none}}
</script>
</body>
</html>
