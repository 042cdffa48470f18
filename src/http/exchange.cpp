#include "http/exchange.h"

#include "base/error.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cria::http {
namespace {

[[noreturn]] void fail_gone() {
  fail(ErrorKind::kCancelled, "the client has gone away");
}

}  // namespace

ExchangeState::ExchangeState(Request the_request, std::function<void()> wake)
    : request(std::move(the_request)), wake_(std::move(wake)) {}

size_t ExchangeState::read_body(std::span<std::byte> out) {
  std::unique_lock lock(mutex_);
  if (input_.size() == input_read_ && !input_ended_) wake_();
  changed_.wait(lock, [&] {
    return input_.size() > input_read_ || input_ended_ || input_error_ || abandoned_;
  });
  if (input_.size() == input_read_) {
    if (input_error_) throw Error(input_error_->first, input_error_->second);
    if (input_ended_) return 0;
    fail_gone();
  }
  const size_t count = std::min(out.size(), input_.size() - input_read_);
  std::memcpy(out.data(), input_.data() + input_read_, count);
  input_read_ += count;
  if (input_read_ == input_.size()) {
    input_.clear();
    input_read_ = 0;
    wake_();
  }
  return count;
}

void ExchangeState::respond(Response response, bool stream) {
  const std::lock_guard lock(mutex_);
  CRIA_CHECK(!started_, "a request is answered once");
  started_ = true;
  stream_ = stream;
  status_ = response.status;
  for (Header& header : extra_) response.headers.push_back(std::move(header));
  head_ = std::move(response);
  wake_();
}

void ExchangeState::write(std::string_view bytes) {
  std::unique_lock lock(mutex_);
  CRIA_CHECK(started_ && stream_, "write() follows start_stream()");
  changed_.wait(lock, [&] { return output_.size() < kHighWater || abandoned_; });
  if (abandoned_) fail_gone();
  output_ += bytes;
  wake_();
}

void ExchangeState::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  wake_();
}

bool ExchangeState::started() const {
  const std::lock_guard lock(mutex_);
  return started_;
}

int ExchangeState::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void ExchangeState::add_header(Header header) {
  const std::lock_guard lock(mutex_);
  extra_.push_back(std::move(header));
}

ExchangeState::Output ExchangeState::take_output() {
  const std::lock_guard lock(mutex_);
  Output output = {.head = std::exchange(head_, std::nullopt),
                   .stream = stream_,
                   .bytes = std::exchange(output_, {}),
                   .finished = finished_};
  changed_.notify_all();
  return output;
}

bool ExchangeState::wants_input() const {
  const std::lock_guard lock(mutex_);
  return input_.size() - input_read_ < kHighWater;
}

bool ExchangeState::finished() const {
  const std::lock_guard lock(mutex_);
  return finished_;
}

void ExchangeState::put_input(std::string bytes) {
  const std::lock_guard lock(mutex_);
  if (input_read_ == input_.size()) {
    input_ = std::move(bytes);
    input_read_ = 0;
  } else {
    input_ += bytes;
  }
  changed_.notify_all();
}

void ExchangeState::end_input() {
  const std::lock_guard lock(mutex_);
  input_ended_ = true;
  changed_.notify_all();
}

void ExchangeState::fail_input(ErrorKind kind, std::string message) {
  const std::lock_guard lock(mutex_);
  input_error_.emplace(kind, std::move(message));
  changed_.notify_all();
}

void ExchangeState::abandon() {
  gone.request_stop();  // outside the lock: callbacks run here; first, so that who fails knows why
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  wake_ = [] {};  // the connection, which it would wake, is going
  changed_.notify_all();
}

void Exchange::replace_body(std::string body) {
  state_->request.body = std::move(body);
}

const Request& Exchange::request() const {
  return state_->request;
}
std::stop_token Exchange::gone() const {
  return state_->gone.get_token();
}
size_t Exchange::read_body(std::span<std::byte> out) {
  return state_->read_body(out);
}
void Exchange::respond(Response response) {
  state_->respond(std::move(response), false);
}
void Exchange::start_stream(Response head) {
  state_->respond(std::move(head), true);
}
void Exchange::write(std::string_view bytes) {
  state_->write(bytes);
}
bool Exchange::started() const {
  return state_->started();
}
int Exchange::status() const {
  return state_->status();
}
void Exchange::add_header(std::string name, std::string value) {
  state_->add_header({std::move(name), std::move(value)});
}

}  // namespace cria::http
