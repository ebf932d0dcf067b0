// tests/eval/report_test.cpp: the four files of a report, and foreign names that try to be markup.
#include "eval/report.h"

#include <catch2/catch.hpp>
#include <limits>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/chart_data.h"
#include "eval/forest.h"
#include "eval/number_text.h"
#include "tests/eval/fixture.h"
#include "tests/eval/report_fixture.h"

namespace polygraft::eval {
namespace {

const char* const kHostileNames[] = {"<script>alert(1)</script>",
                                     "\"><img src=x onerror=alert(1)>",
                                     "' onmouseover='alert(1)",
                                     "</title></style></script><b>",
                                     "{{TITLE}}{{#ROW}}",
                                     "| cell | `code` [x](javascript:alert(1)) ![i](x)",
                                     "\x1b[2J\x1b]0;owned\x07",
                                     "abc\xE2\x80\xAE"
                                     "cba",
                                     "broken \xff\xfe bytes",
                                     "]]> &amp; <!--"};

Report hostile_report(const std::string& name) {
  static const Report sample = sample_report();
  Report report = sample;
  report.title = report.resolved_config = name;
  for (LanguageTest& test : report.comparison.tests) {
    test.task = test.language = test.metric = test.reason = name;
    test.outcome = Outcome::kFail;
  }
  for (Chart& chart : report.charts) {
    chart.title = chart.x_label = chart.y_label = chart.note = chart.curves[0].name = name;
  }
  for (HeatMap& map : report.heat_maps) map.title = map.rows[0] = map.columns[0] = name;
  for (Table& table : report.tables)
    table.title = table.note = table.header[0] = table.rows[0][0] = name;
  return report;
}

size_t count(const std::string& text, const std::string& part) {
  size_t number = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++number;
  return number;
}

std::string unescaped(std::string text) {
  for (const auto& [from, to] :
       {std::pair{"&quot;", "\""}, {"&#39;", "'"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}}) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + 1)) {
      text.replace(at, std::string(from).size(), to);
    }
  }
  return text;
}

}  // namespace

TEST_CASE("a report is four files, and the page needs nothing else", "[eval][report]") {
  const TemporaryFolder temporary;
  write_report(sample_report(), temporary.path() / "out");
  for (const char* name : {"report.html", "report.md", "report.json", "junit.xml"}) {
    INFO(name);
    CHECK(fs::file_size(temporary.path() / "out" / name) > 500);
  }
  const std::string html = read_file(temporary.path() / "out" / "report.html");
  CHECK_THAT(html, Catch::StartsWith("<!doctype html>"));
  CHECK_THAT(html, Catch::Contains("Chart.js v3"));
  CHECK(count(html, "<link") + count(html, " src=") + count(html, "@import") +
            count(html, "url(") ==
        0);
  CHECK_THAT(html, Catch::Contains("default-src 'none'"));
  CHECK(html.size() < 400 * 1024);
  CHECK(read_json(temporary.path() / "out" / "report.json") == report_json(sample_report()));
}

TEST_CASE("the page shows the verdict first, and every language's numbers as text",
          "[eval][report]") {
  const Report report = sample_report();
  const std::string html = report_html(report);
  CHECK(html.find("Gate passed") < html.find("<main"));
  for (const LanguageTest& test : report.comparison.tests)
    CHECK_THAT(html, Catch::Contains(signed_percent(test.change())));
  CHECK(count(html, "class=\"dot\"") == report.comparison.tests.size());
  CHECK(count(html, "<canvas") == report.charts.size() + 1);              // and the routing map
  CHECK(count(html, "<path d=") == report.heat_maps[0].rows.size() - 1);  // the tree's joins
  CHECK(count(html, "aria-label=\"Line chart") == report.charts.size());
}

TEST_CASE("a report of an empty comparison is still a report", "[eval][report]") {
  Report report;
  report.title = "nothing";
  report.comparison.outcome = Outcome::kNotComparable;
  CHECK_THAT(report_html(report), Catch::Contains("Not comparable"));
  CHECK_THAT(report_markdown(report), Catch::Contains("Not comparable"));
  CHECK(report_json(report)["comparison"]["worst"].is_null());
}

TEST_CASE("hostile names are text on the page", "[eval][report]") {
  const std::string harmless = report_html(hostile_report("name"));
  const size_t num_scripts = count(harmless, "<script");
  for (const char* name : kHostileNames) {
    INFO(polygraft::harmless(name));
    const std::string html = report_html(hostile_report(name));
    CHECK(count(html, "<script") == num_scripts);
    CHECK(count(html, "<img") + count(html, "<b>") - count(html, "<b></b>") ==
          count(harmless, "<b>"));
    CHECK(count(html, " onmouseover='") + count(html, "onerror=alert(1)>") == 0);
    CHECK(count(html, "\x1b") + count(html, "\xE2\x80\xAE") + count(html, "\xff") == 0);
  }
}

TEST_CASE("a chart's data survives the escaping", "[eval][report]") {
  Report report = sample_report();
  report.charts.resize(1);
  report.charts[0].curves[0].name = "\"><img src=x> & 'it'";
  const std::string html = report_html(report);
  const size_t begin = html.find("data-chart=\"") + 12;
  const Json data =
      parse_json(unescaped(html.substr(begin, html.find('"', begin) - begin)), "data-chart");
  CHECK(data["curves"][0]["name"] == report.charts[0].curves[0].name);
  CHECK(data["curves"][0]["points"].size() == 25);
}

TEST_CASE("hostile names are text in Markdown, JUnit and the terminal, and JSON stays JSON",
          "[eval][report]") {
  for (const char* name : kHostileNames) {
    INFO(harmless(name));
    const Report report = hostile_report(name);
    const std::string markdown = report_markdown(report);
    const std::string fence = report.resolved_config;  // shown as it is, inside a code fence
    CHECK(count(markdown, "<script") + count(markdown, "<img") ==
          count(fence, "<script") + count(fence, "<img"));
    CHECK(count(markdown, "](javascript") - count(markdown, "\\](javascript") ==
          count(fence, "](javascript"));
    const std::string junit = report_junit(report.title, report.comparison);
    CHECK(count(junit, "<script") + count(junit, "<img") + count(junit, "<!--") == 0);
    CHECK(count(junit, "<failure") == report.comparison.tests.size());
    for (const std::string& text : {markdown, junit, comparison_table(report.comparison)}) {
      CHECK(count(text, "\x1b") + count(text, "\xE2\x80\xAE") + count(text, "\xff") == 0);
    }
    CHECK_NOTHROW(report_json(report).dump());
  }
}

TEST_CASE("numbers that are not finite stay out of every file", "[eval][report]") {
  Report report = sample_report();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  report.charts[0].curves[0].points[3].second = nan;
  report.heat_maps[0].values[0][1] = std::numeric_limits<double>::infinity();
  CHECK(count(report_html(report), "nan") == count(report_html(sample_report()), "nan"));
  CHECK(report_json(report)["charts"][0]["curves"][0]["points"][3][1].is_null());
  CHECK(summarise(report.charts[0].curves[0]).num_points == 24);
  CHECK_THAT(report_markdown(report), Catch::Contains("n/a"));
}

TEST_CASE("a long curve is thinned without losing its spikes", "[eval][report]") {
  Curve curve{"loss", {}};
  for (int i = 0; i < 100000; ++i)
    curve.points.emplace_back(i, i == 77777 ? 9.0 : i == 12345 ? -9.0 : 1.0);
  const auto points = thinned(curve, 500);
  CHECK(points.size() <= 502);
  CHECK(std::is_sorted(points.begin(), points.end()));
  CHECK(summarise({"", points}).highest == 9.0);
  CHECK(summarise({"", points}).lowest == -9.0);
  CHECK(points.front().first == 0);
  CHECK(points.back().first == 99999);
}

TEST_CASE("a forest's axis holds zero, the margin and every interval, with round ticks",
          "[eval][report]") {
  const Comparison comparison = sample_report().comparison;
  for (const ForestGroup& group : forest_groups(comparison)) {
    const ForestAxis axis = forest_axis(group);
    CHECK(axis.percent(0) > 0);
    CHECK(axis.percent(0) < 100);
    for (const LanguageTest* test : group.tests) {
      CHECK(axis.percent(test->interval.low) > 0);
      CHECK(axis.percent(std::max(test->interval.high, test->margin)) < 100);
    }
    CHECK(axis.ticks.size() >= 2);
    CHECK(axis.ticks.size() <= 6);
  }
  const ForestAxis axis{.low = -0.001, .high = 0.003, .ticks = {}, .step = 0.0005};
  CHECK(tick_text(axis, 0.0005, Scale::kRelative) == "+0.05 %");
  CHECK(tick_text(axis, 0, Scale::kRelative) == "0 %");
  const ForestAxis wide = {.low = -0.3, .high = 0, .ticks = {}, .step = 0.1};
  CHECK(tick_text(wide, -0.2, Scale::kPoints) == "-20 pp");
  CHECK(tick_text(wide, -0.2, Scale::kOwn) == "-0.2");
}

TEST_CASE("the page shows the margins that are used, documents, and the bound that decides",
          "[eval][report]") {
  Report report = sample_report();
  report.comparison.tests.resize(2);
  report.comparison.tests[0].margin = 0.005;
  const std::string two_margins = report_html(report);
  CHECK_THAT(two_margins, Catch::Contains("<b>+0.200 % to +0.500 %</b>") &&
                              Catch::Contains("margin +0.500 %</small>"));
  CHECK(count(two_margins, "class=\"bound\"") == 2);
  for (LanguageTest& test : report.comparison.tests) {
    test.scale = Scale::kPoints;
    test.higher_is_better = true;
    test.margin = -0.01;
    test.estimate.num_pairs = 4321;
    test.estimate.num_documents = 17;
    test.bound = -0.5;
  }
  const std::string accuracy = report_html(report);
  CHECK_THAT(accuracy,
             Catch::Contains("Margin for old languages: accuracy</dt><dd><b>-1.00 pp</b>"));
  CHECK_THAT(accuracy, !Catch::Contains("Margin for old languages: bits"));
  CHECK_THAT(accuracy, Catch::Contains("<b>34</b> <span>paired documents"));
  CHECK_THAT(accuracy, !Catch::Contains("4,321"));
  const ForestGroup group = forest_groups(report.comparison).front();
  CHECK(forest_axis(group).low < -0.5);
}

TEST_CASE("what else must be known stands beside the verdict, in every form", "[eval][report]") {
  Report report = sample_report();
  report.comparison.note = "Training ended outside its budget.";
  for (const std::string& text :
       {report_html(report), report_markdown(report), comparison_table(report.comparison),
        report_junit("t", report.comparison), report_json(report)["comparison"].dump()}) {
    CHECK_THAT(text, Catch::Contains(report.comparison.note));
  }
}

TEST_CASE("several tasks of a language are told apart, in every form", "[eval][report]") {
  Report report = sample_report();
  LanguageTest second = test_of(report.comparison, "es");  // the worst
  second.task = "news_es";
  report.comparison.tests.push_back(second);
  const LanguageTest fails = test_of(report.comparison, "id");
  report.comparison.tests.push_back(fails);
  report.comparison.tests.back().task = "news_id";
  for (const std::string& text : {report_html(report), comparison_table(report.comparison)}) {
    for (const char* name : {"es, bpb_es", "es, news_es", "id, bpb_id", "id, news_id"})
      CHECK_THAT(text, Catch::Contains(name));
    CHECK_THAT(text, Catch::Contains("orst old language: es, bpb_es"));
    CHECK_THAT(text, !Catch::Contains("de, bpb_de"));
  }
  CHECK_THAT(report_markdown(report), Catch::Contains("| es, news\\_es |"));
}

TEST_CASE("a page that stands alone names no other files", "[eval][report]") {
  CHECK_THAT(report_html(sample_report()), !Catch::Contains("report.json"));
  CHECK_THAT(report_html(sample_report(), /*stands_alone=*/false), Catch::Contains("report.json"));
  const Comparison comparison = sample_report().comparison;
  CHECK_THAT(comparison_markdown(comparison, 0),
             Catch::Contains("--json FILE has all") && !Catch::Contains("report.json"));
  CHECK_THAT(comparison_markdown(comparison, 0, /*stands_alone=*/false),
             Catch::Contains("report.json has all"));
}

TEST_CASE("notes stand with their drawing or table, in every form", "[eval][report]") {
  Report report = sample_report();
  report.charts[1].note = "What the limit is.";
  report.charts[1].curves.push_back({"budget", {{0, 1}, {1, 0.5}}, /*is_limit=*/true});
  for (const std::string& text : {report_html(report), report_markdown(report)})
    CHECK_THAT(text, Catch::Contains("What the limit is.") && Catch::Contains("recut: how many"));
  const Json chart = report_json(report)["charts"][1];
  CHECK(chart["note"] == "What the limit is.");
  CHECK(chart["curves"].back()["is_limit"] == true);
}

TEST_CASE("a report says where both sides come from", "[eval][report]") {
  Report report = sample_report();
  CHECK(all_tables(report).back().title == "Provenance");
  ResultFolder baseline, candidate;
  baseline.files = {{"base/results_2026-11-29.json", 2}, {"base/results_2026-11-28.json", 1}};
  baseline.results = {
      {"date", 1795910933.5},
      {"model_name", "models/base"},
      {"task_hashes", {{"bpb_de", "1f"}}},
      {"polygraft", {{"config", {{"polygraft_version", "9.9"}, {"kernels", "avx2"}}}}}};
  candidate.results = {{"lm_eval_version", "0.4.13"}, {"date", "today"}};
  const OrderedJson pack = {{"name", "id"}, {"folder", "id-more"}, {"additions_hash", "2e"}};
  candidate.results["polygraft"]["config"]["packs"] = OrderedJson::array({pack, pack});
  report.comparison.baseline = source_of(baseline);
  report.comparison.candidate = source_of(candidate);
  const Table table = all_tables(report).back();
  CHECK(table.rows ==
        std::vector<std::vector<std::string>>{
            {"model", "models/base", ""},
            {"packs put on (SHA-256 of their additions)", "", "id-more (2e), id-more (2e)"},
            {"texts of all tasks (SHA-256)", sha256("{\"bpb_de\":\"1f\"}"), ""},
            {"evaluated by", "polygraft 9.9", "lm-evaluation-harness 0.4.13"},
            {"kernels", "avx2", ""},
            {"results", "results_2026-11-29.json, results_2026-11-28.json", ""},
            {"evaluated on", "2026-11-29 00:08 UTC", ""}});
  CHECK_THAT(report_html(report), Catch::Contains("What was compared"));
  CHECK(report_json(report)["comparison"]["sources"]["baseline"].contains("date") == false);
}

TEST_CASE("a column is numeric when all its cells are", "[eval][report]") {
  const Table table{
      "t", {"a", "b", "c"}, {{"1.5", "x", "-3"}, {"2", "1", ""}, {"3 of 7", "2", "-"}}};
  CHECK(numeric_columns(table) == std::vector<bool>{true, false, true});
}

TEST_CASE("a report that cannot be written says where", "[eval][report]") {
  const TemporaryFolder temporary;
  write_file_atomically(temporary.path() / "file", "in the way");
  CHECK_THROWS_AS(write_report(sample_report(), temporary.path() / "file"), IoError);
}

TEST_CASE("the Markdown keeps within a comment on GitHub, and says what it leaves out",
          "[eval][report]") {
  Report report = sample_report();
  const std::string whole = report_markdown(report);
  CHECK_THAT(whole, !Catch::Contains("left out"));
  report.tables.push_back({"Huge", {"a"}, std::vector<std::vector<std::string>>(9000, {"12345"})});
  const std::string without_table = report_markdown(report);
  CHECK(without_table.size() <= 65536);
  CHECK_THAT(without_table, Catch::Contains("1 section is left out"));
  CHECK_THAT(without_table, Catch::Contains("Resolved configuration"));
  const LanguageTest passed = report.comparison.tests.front();
  REQUIRE(passed.outcome == Outcome::kPass);
  report.comparison.tests.assign(3000, passed);
  report.comparison.tests.back().outcome = Outcome::kFail;
  report.comparison.tests.back().language = "zz";
  const std::string many = report_markdown(report);
  CHECK(many.size() <= 65536);
  CHECK(many.size() > 40000);
  CHECK_THAT(many, Catch::Contains("| zz |") && Catch::Contains("tests left out"));
}

TEST_CASE("a title that is too long is cut between characters", "[eval][report]") {
  Report report = sample_report();
  for (const size_t shift : {0, 1, 2}) {
    report.title = std::string(shift, 'x');
    for (int i = 0; i < 200; ++i) report.title += "\u5B57";
    CHECK(find_invalid_utf8(report_markdown(report)) == std::string::npos);
  }
}

}  // namespace polygraft::eval
