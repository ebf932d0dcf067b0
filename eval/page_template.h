// eval/page_template.h: the few calls of ctemplate that the report's writers share.
#pragma once
#include <ctemplate/template.h>

#include <string>
#include <string_view>

namespace polygraft::eval {

/// Sets a variable to `value`, made harmless() first (number_text.h); the template escapes it for
/// its place.
void set(ctemplate::TemplateDictionary& dictionary, const char* name, const std::string& value,
         bool keep_lines = false);
/// Our own text (style, script), inserted byte for byte.
void set_verbatim(ctemplate::TemplateDictionary& dictionary, const char* name,
                  std::string_view text);

/// A template that does not parse is a defect of this program: std::logic_error.
std::string expand_template(std::string_view text, const ctemplate::TemplateDictionary& dictionary);

}  // namespace polygraft::eval
