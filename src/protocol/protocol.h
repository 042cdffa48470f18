// protocol.h - what server and child processes say to each other.
//
// Over a socket pair made by the server: frames of a 4-byte little-endian length and that many
// bytes of JSON, one message each (channel.h). Version kProtocolVersion travels in the first
// message both ways; a mismatch is a clear error. No frame is longer than kMaxFrame.
#pragma once

#include "base/error.h"
#include "base/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cria::protocol {

inline constexpr int kProtocolVersion = 1;
inline constexpr uint32_t kMaxFrame = 256u << 20;

// ---- server to runner ------------------------------------------------------------------------

// First message to a runner. The runner opens its files, drops its rights, then parses them.
struct Load {
  std::string model_path;
  std::vector<std::string> adapter_paths;
  int64_t num_ctx = 0;   // of requests that do not say theirs; 0: what model and memory allow
  int64_t threads = 0;   // 0: what the process may use
  int64_t parallel = 0;  // sequences at a time; 0: what memory allows, up to 16
  std::string kv_type = "f16";
  std::string prompt_file;     // where prompts outlive the runner; empty: nowhere
  int64_t promised_bytes = 0;  // of free memory: other runners will use it
};

// Whose words these are: names that share weights share a runner, and each request brings the
// template, the system text and the first messages of its name.
struct ModelText {
  std::string template_text;  // Go template of the model's layers; empty: from the file, else raw
  std::string system;         // the model's SYSTEM
  Json messages = Json::array();  // the model's MESSAGE history
  bool operator==(const ModelText&) const = default;
};

// Sampling and length options, already merged by the server from Modelfile and request; absent
// fields take the defaults of spec engine.md 3.1. Kept as JSON: the runner owns their meaning.
struct Generate {
  uint64_t id = 0;
  std::string request_id;  // of the client's request, for log lines
  ModelText model;
  bool chat = false;
  Json messages = Json::array();  // chat: [{role, content, images?, tool_calls?, ...}]
  Json tools = Json::array();
  std::string prompt, suffix, system, template_text;  // generate
  bool has_system = false, has_template = false;
  bool raw = false;
  std::vector<int32_t> context;     // generate: ids of the conversation so far
  std::vector<std::string> images;  // base64-decoded bytes
  Json think;                       // null, bool, or "low" | "medium" | "high" | "max"
  Json format;                      // null, "json", or a schema
  bool forced_call = false;         // the format is that of one call: {name, arguments}
  bool call_pieces = false;         // calls are told as they are written
  Json options = Json::object();
  bool drop_old_thinking = false;  // cut <think> parts from answers before the last question
  bool truncate = true, shift = true;
  bool logprobs = false;
  int64_t top_logprobs = 0;
  bool debug_render_only = false;
};

// Vectors of texts: one Vector for each, in any order, then Done with the tokens of all of them.
struct Embed {
  uint64_t id = 0;
  std::string request_id;
  std::vector<std::string> inputs;
  std::optional<std::string> query;  // rank the inputs for it: a Vector is then its score alone
  bool truncate = true;              // cut what is too long at its end; otherwise it is an error
  int64_t num_ctx = 0;               // most tokens of an input; 0: the default
  int64_t dimensions = 0;            // keep that many and normalise again; 0: all
  bool normalize = true;             // to length 1; otherwise as the model's file says
};

// The tokens of a text: Tokens, one or more, then Done.
struct Tokenize {
  uint64_t id = 0;
  std::string request_id;
  std::string text;
  bool add_special = false;   // what the vocabulary puts around a text
  bool parse_special = true;  // spellings of control tokens become those tokens
  bool pieces = false;        // with the text of each
};

// The text of tokens, special ones spelt out: one Text, then Done.
struct Detokenize {
  uint64_t id = 0;
  std::string request_id;
  std::vector<int32_t> tokens;
};

struct Cancel {
  uint64_t id = 0;
};

using Request = std::variant<Load, Generate, Embed, Tokenize, Detokenize, Cancel>;

// ---- runner to server ------------------------------------------------------------------------

struct Progress {  // while loading
  double fraction = 0;
};

struct Loaded {
  int64_t context_length = 0;   // of requests that do not say theirs
  int64_t longest_context = 0;  // that a request may ask for
  int64_t parallel = 1;         // sequences at a time
  int64_t texts_together = 1;   // embedded or ranked beside each other, in one place of those
  int64_t weight_bytes = 0, scratch_bytes = 0;
  int64_t kv_bytes = 0;  // set aside for the KV cache, and taken from the system as pages are used
  std::string backend;   // "cpu (avx512)"
  int64_t threads = 0;
  bool sandboxed = false;
};

// While there is work: what has gone on since the last one. A runner that owes answers and says
// nothing is stuck.
struct Alive {
  bool steps = false;  // the engine: prompts, answers, embeddings
  bool texts = false;  // Tokenize and Detokenize
};

struct Usage {  // of the KV cache and of memory, now and then
  int64_t pages = 0, pages_used = 0;
  int64_t pages_cached = 0;         // of those used, can be found again by a prompt
  int64_t pages_touched = 0;        // were in use at some time, so the system has given them memory
  int64_t weight_bytes_unread = 0;  // of Loaded::weight_bytes: memory that they will take yet
};

// What a prompt lost so that it fits into the context: whole messages, the oldest first, then the
// middle of its text.
struct Truncation {
  int64_t messages = 0;
  int64_t tokens = 0;  // that the model does not see, those of the messages included

  bool any() const { return messages > 0 || tokens > 0; }
};

struct Begun {  // a Generate or Embed has a place among those that run
  uint64_t id = 0;
};

struct Text {  // at least one of the strings is not empty
  uint64_t id = 0;
  std::string content, thinking;
  Json tool_calls = Json::array();   // {id, function {index, name, arguments}}
  Json call_pieces = Json::array();  // instead, where asked for: {id, name} where a call begins,
                                     // arguments: the next of their text, last: it is the end
  Json logprobs = Json::array();
  int64_t prompt_tokens = 0;     // of the first one, as in Done: some dialects say it there
  Truncation truncated;          // likewise: headers say it
  int64_t generated_tokens = 0;  // so far
};

struct Vector {
  uint64_t id = 0;
  int64_t index = 0;  // of the input
  std::vector<float> values;
  int64_t truncated_tokens = 0;  // that the input lost at its end
};

struct Tokens {  // the next ones of a text
  uint64_t id = 0;
  std::vector<int32_t> tokens;
  Json pieces = Json::array();  // strings; where the bytes are no UTF-8, lists of them
};

struct Done {
  uint64_t id = 0;
  std::string reason;         // "stop", "length", "load"
  std::string stop_string;    // that ended it, of the option "stop"
  int64_t prompt_tokens = 0;  // whole prompt, cached part included
  int64_t cached_tokens = 0;  // of them, found in the prefix cache
  int64_t generated_tokens = 0;
  int64_t guessed_tokens = 0, right_guesses = 0;  // tokens that steps verified ahead of their time
  int64_t prompt_ns = 0, generate_ns = 0;
  Truncation truncated;
  int64_t shifted_tokens = 0;    // that gave way to later ones when the context was full
  std::vector<int32_t> context;  // generate, not raw: ids to send with the next request
  std::string rendered;          // debug_render_only, which counts prompt_tokens as well
};

struct Failure {
  uint64_t id = 0;  // 0: the runner as a whole, which then exits
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;
  std::optional<Shortage> shortage;  // of memory, where the numbers are known
};

struct Result {  // a worker's last message
  Json value;
};

using Event = std::variant<Progress, Loaded, Alive, Usage, Begun, Text, Vector, Tokens, Done,
                           Failure, Result>;

// ---- worker: one job per process -------------------------------------------------------------

struct Job {
  std::string kind;  // "inspect", ...: the table in create/jobs.cpp
  Json arguments = Json::object();
};
// A worker answers Progress events, then one Result or one Failure.

// A message is an object whose "type" says which alternative it is.
Json to_json(const Request& request);
Json to_json(const Event& event);
Json to_json(const Job& job);
// Throw Error{kInvalidInput} naming the field. Absent fields take the defaults above.
Request request_from_json(const Json& json);
Event event_from_json(const Json& json);
Job job_from_json(const Json& json);

}  // namespace cria::protocol
