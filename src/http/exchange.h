// exchange.h - what the handler's thread and the connection's coroutine share. Internal to http.
#pragma once

#include "base/error.h"
#include "http/server.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

namespace cria::http {

class ExchangeState {
 public:
  // `wake` makes the connection look again; it may be called from any thread and must not block.
  ExchangeState(Request request, std::function<void()> wake);

  // ---- the handler's side
  size_t read_body(std::span<std::byte> out);
  void respond(Response response, bool stream);
  void write(std::string_view bytes);
  void finish();  // the handler has returned
  bool started() const;
  int status() const;
  void add_header(Header header);

  // ---- the connection's side
  struct Output {
    std::optional<Response> head;  // comes once, first
    bool stream = false;
    std::string bytes;
    bool finished = false;
    bool empty() const { return !head && bytes.empty() && !finished; }
  };
  Output take_output();
  bool wants_input() const;  // the handler waits for bytes, or the buffer is low
  bool finished() const;
  void put_input(std::string bytes);
  void end_input();
  void fail_input(ErrorKind kind, std::string message);
  void abandon();  // nobody reads the answer any more

  Request request;  // for the handler's thread
  std::stop_source gone;

 private:
  static constexpr size_t kHighWater = size_t{1} << 20;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> wake_;
  std::string input_;
  size_t input_read_ = 0;
  bool input_ended_ = false;
  std::optional<std::pair<ErrorKind, std::string>> input_error_;
  std::optional<Response> head_;
  Headers extra_;
  std::string output_;
  int status_ = 0;
  bool started_ = false, stream_ = false, finished_ = false, abandoned_ = false;
};

}  // namespace cria::http
