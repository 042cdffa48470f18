#include "text/chat/convert.h"

#include "base/error.h"
#include "text/chat/chat_template.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace cria::text {
namespace {

constexpr std::string_view kSystem = "MARK-OF-A-SYSTEM", kFirst = "MARK-OF-A-QUESTION",
                           kAnswer = "MARK-OF-AN-ANSWER", kSecond = "MARK-OF-ANOTHER";
constexpr int kLeastProofs = 6;

// The texts are taken on one day and proved on another: a date that the template prints would stand
// in the Go template for ever.
std::tm day(int year, int month, int day_of_month) {
  std::tm time{};
  time.tm_year = year - 1900, time.tm_mon = month - 1, time.tm_mday = day_of_month;
  return time;
}

Json message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

// What stands around the marks, each of which must stand in the text once and in this order.
std::vector<std::string> cut(std::string_view text, const std::vector<std::string_view>& marks) {
  std::vector<std::string> parts;
  for (const std::string_view mark : marks) {
    const size_t at = text.find(mark);
    if (at == std::string_view::npos)
      fail(ErrorKind::kUnsupported, "a message is not written whole");
    parts.emplace_back(text.substr(0, at));
    text.remove_prefix(at + mark.size());
  }
  for (const std::string_view mark : marks)
    if (text.find(mark) != std::string_view::npos)
      fail(ErrorKind::kUnsupported, "a message is written twice");
  parts.emplace_back(text);
  return parts;
}

std::string without_prefix(const std::string& text, const std::string& prefix) {
  if (!text.starts_with(prefix)) fail(ErrorKind::kUnsupported, "turns depend on their place");
  return text.substr(prefix.size());
}
std::string without_suffix(const std::string& text, const std::string& suffix) {
  if (!text.ends_with(suffix)) fail(ErrorKind::kUnsupported, "turns depend on their place");
  return text.substr(0, text.size() - suffix.size());
}

// A text as it stands in a Go template.
std::string literal(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "{{") == 0) {
      out += "{{ \"{{\" }}";
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The texts between the messages of a conversation.
struct Frame {
  std::string begin;                        // before the first question, without a system text
  std::string system_begin, system_end;     // around the system's text, up to the first question
  std::string question_end, next_question;  // before an answer; between answer and next question
  std::string answer_end, begun_answer;     // after the last answer; after the last question
  std::string question_alone;               // after the last question when no answer is asked for
};

class Frames {
 public:
  explicit Frames(const JinjaSource& source)
      : template_(jinja::Template::parse(source.text)), source_(source) {}

  Frame find() const {
    Frame frame;
    const Json first = message("user", kFirst), answer = message("assistant", kAnswer);
    auto parts = cut(render({first}, true), {kFirst});
    frame.begin = parts[0], frame.begun_answer = parts[1];
    parts = cut(render({first}, false), {kFirst});
    frame.question_alone = parts[1];
    parts = cut(render({first, answer}, false), {kFirst, kAnswer});
    frame.question_end = parts[1], frame.answer_end = parts[2];
    parts =
        cut(render({first, answer, message("user", kSecond)}, true), {kFirst, kAnswer, kSecond});
    if (parts[1] != frame.question_end || parts[3] != frame.begun_answer)
      fail(ErrorKind::kUnsupported, "turns depend on their place");
    frame.next_question = parts[2];
    find_system(frame, first);
    return frame;
  }

 private:
  void find_system(Frame& frame, const Json& first) const {
    std::string text;
    try {
      text = render({message("system", kSystem), first}, true);
    } catch (const Error&) {
    }
    if (text.find(kSystem) == std::string::npos) {  // as JinjaPrompt does for such templates
      frame.system_begin = frame.begin;
      frame.system_end = "\n\n";
      return;
    }
    const auto parts = cut(text, {kSystem, kFirst});
    frame.system_begin = parts[0], frame.system_end = parts[1];
  }

  std::string render(std::vector<Json> messages, bool ask) const {
    const std::string text = template_.render({{"messages", Json(std::move(messages))},
                                               {"tools", nullptr},
                                               {"documents", nullptr},
                                               {"bos_token", source_.bos},
                                               {"eos_token", source_.eos},
                                               {"add_generation_prompt", ask}},
                                              {.limits = kProbeLimits, .now = day(2001, 2, 3)});
    if (source_.adds_bos && !source_.bos.empty() && text.starts_with(source_.bos))
      return text.substr(source_.bos.size());
    return text;
  }

  jinja::Template template_;
  const JinjaSource& source_;
};

constexpr std::string_view kRange =
    "{{ range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}";

// The last answer is only begun: it goes on where the model's own would start.
std::string before_answer(const std::string& past, const std::string& begun) {
  if (past == begun) return literal(past);
  return "{{ if $last }}" + literal(begun) + "{{ else }}" + literal(past) + "{{ end }}";
}

// Every turn looks the same, wherever it stands.
std::string uniform(const Frame& f) {
  const std::string question = without_prefix(f.next_question, f.answer_end);
  const std::string header = without_suffix(f.begin, question);
  const std::string system_end = without_suffix(f.system_end, question);
  const std::string answer = without_prefix(f.question_end, f.question_alone);
  const std::string begun = without_prefix(f.begun_answer, f.question_alone);
  return "{{ if .System }}" + literal(f.system_begin) + "{{ .System }}" + literal(system_end) +
         (header.empty() ? "" : "{{ else }}" + literal(header)) + "{{ end }}" +
         std::string(kRange) + "{{ if eq .Role \"user\" }}" + literal(question) + "{{ .Content }}" +
         literal(f.question_alone) + "{{ if $last }}" + literal(begun) +
         "{{ end }}{{ else if eq .Role \"assistant\" }}" + before_answer(answer, begun) +
         "{{ .Content }}{{ if not $last }}" + literal(f.answer_end) + "{{ end }}{{ end }}{{ end }}";
}

// The first question is special: the system's text stands inside it, for example.
std::string special_first(const Frame& f) {
  return "{{ $begun := false }}" + std::string(kRange) +
         "{{ if eq .Role \"user\" }}{{ if $begun }}" + literal(f.next_question) +
         "{{ else if $.System }}" + literal(f.system_begin) + "{{ $.System }}" +
         literal(f.system_end) + "{{ else }}" + literal(f.begin) +
         "{{ end }}{{ $begun = true }}{{ .Content }}{{ if $last }}" + literal(f.begun_answer) +
         "{{ end }}{{ else if eq .Role \"assistant\" }}" +
         before_answer(f.question_end, f.begun_answer) + "{{ .Content }}{{ end }}{{ end }}";
}

struct Probe {
  std::string_view about;
  ChatInput input;
};

std::vector<Probe> probes(const Capabilities& can) {
  const auto chat = [](const char* json) {
    return ChatInput{.messages = parse_json(json), .tools = Json::array(), .think = {}};
  };
  constexpr const char* kQuestion = R"([{"role":"user","content":"What is 1+1?"}])";
  const ChatInput tools{.messages = parse_json(kQuestion),
                        .tools = parse_json(R"([{"type":"function","function":
      {"name":"add","description":"Adds","parameters":{"type":"object","properties":
      {"a":{"type":"integer","description":"one"}},"required":["a"]}}}])"),
                        .think = {}};
  ChatInput calls{.messages = parse_json(R"([{"role":"user","content":"Add."},
      {"role":"assistant","content":"","tool_calls":[{"id":"call00001","function":{"name":"add","arguments":{"a":1}}}]},
      {"role":"tool","tool_name":"add","tool_call_id":"call00001","content":"2"}])"),
                  .tools = tools.tools,
                  .think = {}};
  std::vector<Probe> all = {
      {"a question", chat(kQuestion)},
      {"a system text",
       chat(R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])")},
      {"several turns", chat(R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},
          {"role":"user","content":"c"},{"role":"assistant","content":"d"},{"role":"user","content":"e"}])")},
      {"a system text and several turns",
       chat(R"([{"role":"system","content":"S"},{"role":"user","content":"a"},
          {"role":"assistant","content":"b"},{"role":"user","content":"c"}])")},
      {"white space and signs",
       chat(
           R"([{"role":"system","content":" sys\n"},{"role":"user","content":"  <a> & \"b\"\n\t{{ x }} é猫 "},
          {"role":"assistant","content":"\n\nanswer\n"},{"role":"user","content":" {% y %} "}])")},
      {"a begun answer",
       chat(R"([{"role":"user","content":"Count."},{"role":"assistant","content":"One, "}])")},
      {"a greeting first",
       chat(R"([{"role":"assistant","content":"Hello!"},{"role":"user","content":"Hi"}])")},
      {"an empty question", chat(R"([{"role":"user","content":""}])")},
      {"tools", tools},
  };
  if (can.tools) all.push_back({"tool calls", calls});
  if (!can.thinking) return all;
  for (const bool on : {true, false}) {
    ChatInput input = chat(kQuestion);
    input.think = on;
    all.push_back({"thinking", std::move(input)});
  }
  ChatInput past = chat(
      R"([{"role":"user","content":"a"},{"role":"assistant","content":"b","thinking":"hm"},{"role":"user","content":"c"}])");
  past.think = true;
  all.push_back({"past thinking", std::move(past)});
  return all;
}

// Empty when both write the same for every probe that the original takes; else what differs.
std::string difference(const JinjaPrompt& original, const std::string& go,
                       const Capabilities& can) {
  const PromptTemplate converted = PromptTemplate::parse(go);
  int proofs = 0;
  std::vector<Probe> all = probes(can);
  for (Probe& probe : all) {
    probe.input.now = day(2019, 11, 28);
    std::string expected;
    try {
      expected = original.render(probe.input);
    } catch (const Error&) {
      continue;
    }
    if (converted.render_chat(probe.input) != expected) return std::string(probe.about);
    ++proofs;
  }
  return proofs >= kLeastProofs ? "" : "too few conversations that it takes";
}

// A turn's mark that may stop an answer: not a mere word or white space.
void add_stop(Json& stop, std::string text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return;
  text = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  if (text[0] != '<' && text[0] != '[') return;
  if (const size_t end = text.find('\n'); end != std::string::npos) text.resize(end);
  for (const Json& one : stop)
    if (one == text) return;
  stop.push_back(std::move(text));
}

}  // namespace

Conversion convert_chat_template(const JinjaSource& source) {
  Conversion result;
  try {
    const JinjaPrompt original = JinjaPrompt::parse(source);
    const Capabilities can = jinja_capabilities(source.text);
    const Frame frame = Frames(source).find();
    for (const auto form : {uniform, special_first}) {
      try {
        std::string go = form(frame);
        const std::string differs = difference(original, go, can);
        if (!differs.empty()) {
          if (result.why_none.empty()) result.why_none = differs;
          continue;
        }
        result.text = std::move(go);
        add_stop(result.stop, frame.answer_end);
        add_stop(result.stop,
                 frame.next_question.substr(frame.next_question.starts_with(frame.answer_end)
                                                ? frame.answer_end.size()
                                                : 0));
        result.why_none.clear();
        return result;
      } catch (const Error& e) {
        if (result.why_none.empty()) result.why_none = e.what();
      }
    }
  } catch (const Error& e) {
    result.why_none = e.what();
  }
  return result;
}

}  // namespace cria::text
