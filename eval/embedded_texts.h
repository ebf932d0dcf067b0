// eval/embedded_texts.h: the report's templates, style and scripts, carried inside the binary.
// embed_texts.cmake writes the definitions from eval/templates/ and Debian's libjs-chart.js.
#pragma once
#include <string_view>

namespace polygraft::eval {

extern const std::string_view kReportTemplate;  ///< templates/report.html.tpl
extern const std::string_view kReportStyle;     ///< templates/report.css
extern const std::string_view kReportScript;    ///< templates/report.js
extern const std::string_view kJunitTemplate;   ///< templates/junit.xml.tpl
extern const std::string_view kChartLibrary;    ///< Chart.js 3.9 (MIT), minified

}  // namespace polygraft::eval
