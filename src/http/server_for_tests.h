// server_for_tests.h - a server of this process on a free port, for as long as it lives.
#pragma once

#include "http/server.h"

#include <string>
#include <thread>
#include <utility>

namespace cria::http {

struct Running {
  Server server;
  std::thread thread;
  explicit Running(Handler handler, ServerOptions options = {}, BodyRule rule = {})
      : server(
            std::move(options),
            [rule](const Request& r) {
              return BodyRule{rule.max_bytes, rule.streamed || r.path == "/upload"};
            },
            std::move(handler)),
        thread([this] { server.run(); }) {}
  ~Running() {
    server.stop();
    thread.join();
  }
  std::string url(const std::string& path) const { return "http://" + server.address() + path; }
};

}  // namespace cria::http
