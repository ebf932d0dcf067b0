// eval/report_parts.h: what follows the verdict on the page, part by part. Private to eval.
#pragma once
#include <ctemplate/template.h>

#include "eval/report.h"

namespace polygraft::eval {

/// Adds a PART to the page for everything the report has, in the order in which it is read.
void fill_parts(ctemplate::TemplateDictionary& page, const Report& report);

}  // namespace polygraft::eval
