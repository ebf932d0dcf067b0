// eval/page_template.cpp: see page_template.h.
#include "eval/page_template.h"

#include <memory>
#include <stdexcept>

#include "eval/number_text.h"

namespace polygraft::eval {

void set(ctemplate::TemplateDictionary& dictionary, const char* name, const std::string& value,
         bool keep_lines) {
  dictionary.SetValue(name, harmless(value, keep_lines));
}

void set_verbatim(ctemplate::TemplateDictionary& dictionary, const char* name,
                  std::string_view text) {
  dictionary.SetValue(name, ctemplate::TemplateString(text.data(), text.size()));
}

std::string expand_template(std::string_view text,
                            const ctemplate::TemplateDictionary& dictionary) {
  const std::unique_ptr<ctemplate::Template> parsed(ctemplate::Template::StringToTemplate(
      ctemplate::TemplateString(text.data(), text.size()), ctemplate::STRIP_BLANK_LINES));
  std::string out;
  if (parsed == nullptr || !parsed->Expand(&out, &dictionary)) {
    throw std::logic_error("a built-in template does not parse");
  }
  return out;
}

}  // namespace polygraft::eval
