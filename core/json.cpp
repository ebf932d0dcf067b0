// core/json.cpp: JSON in and out.
// Reading goes through nlohmann's SAX interface rather than its own DOM builder, for three reasons:
// nesting can be limited while reading, duplicate keys can be refused (RFC 8259 leaves their
// meaning open), and an ordered object of n keys is built in O(n) instead of O(n^2), which a
// tokenizer.json with 150,000 vocabulary entries needs.
#include "core/json.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_set>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace polygraft {
namespace {

constexpr size_t kMaxDepth = 256;

/// Reads characters for the lexer and notes how far it got, so that every error can tell its byte.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** progress) : at_(at), progress_(progress) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *progress_ = ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** progress_;
};

std::string position_text(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return concat("byte ", byte, " (line ", line, ", column ", before.size() - line_start + 1, ")");
}

/// Whether `key` is new, and a place for its value. std::map knows by itself; ordered_map would
/// look through all keys, so the names seen are kept beside it while the object is open.
struct MapKeys {
  template <class Object>
  auto* insert(Object& object, const std::string& key) {
    const auto [place, is_new] = object.try_emplace(key);
    return is_new ? &place->second : nullptr;
  }
};
struct OrderedKeys {
  std::unordered_set<std::string> seen;
  template <class Object>
  auto* insert(Object& object, const std::string& key) {
    using Value = typename Object::mapped_type;
    if (!seen.insert(key).second) return static_cast<Value*>(nullptr);
    static_cast<typename Object::Container&>(object).emplace_back(key, Value());
    return &object.back().second;
  }
};

/// Builds a document out of SAX events, which return bool as nlohmann wants; here they throw
/// instead of returning false.
template <class AnyJson, class Keys>
class Builder final : public nlohmann::json_sax<AnyJson> {
 public:
  using Base = nlohmann::json_sax<AnyJson>;

  Builder(std::string_view text, const std::filesystem::path& where) : text_(text), where_(where) {}

  AnyJson build() {
    // nlohmann's lexer takes a zero byte for the end of its input, and would pass over what
    // follows.
    if (const size_t zero = text_.find('\0'); zero != std::string_view::npos) {
      throw FormatError(where_, concat("not valid JSON at ", position_text(text_, zero)))
          .found("a zero byte");
    }
    const char* const end = text_.data() + text_.size();
    AnyJson::sax_parse(CountingIterator(text_.data(), &progress_),
                       CountingIterator(end, &progress_), this);
    return std::move(root_);
  }

  bool null() override { return place(nullptr); }
  bool boolean(bool value) override { return place(value); }
  bool number_integer(typename Base::number_integer_t value) override { return place(value); }
  bool number_unsigned(typename Base::number_unsigned_t value) override { return place(value); }
  bool number_float(typename Base::number_float_t value, const std::string&) override {
    return place(value);
  }
  bool string(std::string& value) override { return place(std::move(value)); }
  bool binary(typename Base::binary_t&) override { return false; }  // never in text
  bool start_object(size_t) override { return open(AnyJson::object()); }
  bool start_array(size_t) override { return open(AnyJson::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    Frame& frame = open_.back();
    auto& object = *frame.container->template get_ptr<typename AnyJson::object_t*>();
    value_ = frame.keys.insert(object, name);
    if (value_ == nullptr) {
      throw FormatError(where_, concat("duplicate key ", in_quotes(name), " near ", here()))
          .hint("JSON leaves open which of the two counts; remove one");
    }
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const std::string text = error.what();  // "[json.exception.parse_error.101] parse error at line
                                            // 1, column 2: syntax..."
    const size_t prefix = text.find("] ");
    const size_t located = text.find(": ");
    const size_t start = located != std::string::npos  ? located + 2
                         : prefix == std::string::npos ? 0
                                                       : prefix + 2;
    throw FormatError(
        where_, concat("not valid JSON at ", position_text(text_, position > 0 ? position - 1 : 0)))
        .found(text.substr(start));
  }

 private:
  struct Frame {
    AnyJson* container;
    Keys keys;
  };

  template <class Value>
  bool place(Value&& value) {
    put(AnyJson(std::forward<Value>(value)));
    return true;
  }

  AnyJson* put(AnyJson&& value) {
    AnyJson* place = &root_;
    if (!open_.empty() && open_.back().container->is_array()) {
      auto& array = *open_.back().container->template get_ptr<typename AnyJson::array_t*>();
      place = &array.emplace_back();
    } else if (!open_.empty()) {
      place = value_;
    }
    *place = std::move(value);
    return place;
  }

  bool open(AnyJson&& container) {
    if (open_.size() == kMaxDepth) {
      throw FormatError(where_, concat("nested deeper than ", kMaxDepth, " levels at ", here()));
    }
    open_.push_back({put(std::move(container)), Keys()});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string here() const { return position_text(text_, progress_ - text_.data() - 1); }

  std::string_view text_;
  const std::filesystem::path& where_;
  const char* progress_ = nullptr;  // one beyond the last byte read
  AnyJson root_;
  std::vector<Frame> open_;   // pointers stay valid: only the innermost container grows
  AnyJson* value_ = nullptr;  // where the value of the key just read belongs
};

/// The path of the first number that JSON cannot hold, or nothing.
template <class AnyJson>
std::optional<std::string> find_non_finite(const AnyJson& json) {
  if (json.is_number_float() && !std::isfinite(json.template get<double>())) return "";
  if (!json.is_structured()) return std::nullopt;
  for (const auto& [key, value] : json.items()) {
    if (const auto found = find_non_finite(value)) {
      return concat(json.is_array() ? concat("[", key, "]") : concat(".", key), *found);
    }
  }
  return std::nullopt;
}

template <class AnyJson>
void write_any_json(const std::filesystem::path& file, const AnyJson& json) {
  if (const auto path = find_non_finite(json)) {
    throw NumericError(file.string(),
                       concat("'", *path, "' is not finite; JSON has no such number"));
  }
  std::string text;
  try {
    text = json.dump(2) + "\n";
  } catch (const nlohmann::json::type_error& error) {  // 316: a string that is not UTF-8
    throw FormatError(file, "cannot be written").found(error.what());
  }
  write_file_atomically(file, text);
}

}  // namespace

Json parse_json(std::string_view text, const std::filesystem::path& where) {
  return Builder<Json, MapKeys>(text, where).build();
}
OrderedJson parse_ordered_json(std::string_view text, const std::filesystem::path& where) {
  return Builder<OrderedJson, OrderedKeys>(text, where).build();
}
Json read_json(const std::filesystem::path& file) { return parse_json(read_file(file), file); }
OrderedJson read_ordered_json(const std::filesystem::path& file) {
  return parse_ordered_json(read_file(file), file);
}

void write_json(const std::filesystem::path& file, const Json& json) { write_any_json(file, json); }
void write_json(const std::filesystem::path& file, const OrderedJson& json) {
  write_any_json(file, json);
}

Json with_valid_texts(Json json) {
  if (json.is_string()) return valid_utf8(json.get_ref<const std::string&>());
  if (json.is_structured()) {
    for (Json& value : json) value = with_valid_texts(std::move(value));
  }
  return json;
}

BoxedJson::BoxedJson() : json_(std::make_unique<OrderedJson>(OrderedJson::object())) {}
BoxedJson::BoxedJson(const OrderedJson& json) : json_(std::make_unique<OrderedJson>(json)) {}
BoxedJson::BoxedJson(const BoxedJson& other) : BoxedJson(*other) {}
BoxedJson::BoxedJson(BoxedJson&& other) noexcept = default;
BoxedJson& BoxedJson::operator=(BoxedJson other) noexcept {
  json_ = std::move(other.json_);
  return *this;
}
BoxedJson::~BoxedJson() = default;

}  // namespace polygraft
