// Log lines: an event and its facts, `log.info("job accepted job={} bytes={}", id, n)`. Texts of users
// stay out of it. STYLE.md says what each level asks of whom.

#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <string>

#include "shared/base/result.h"

namespace tandem {

// Copies share one sink, standard error. Safe from any thread.
class Log {
 public:
  // `part` stands in front of every line: "broker", "worker.session".
  explicit Log(const std::string& part);

  template <typename... Args>
  void debug(fmt::format_string<Args...> text, Args&&... args) const {
    logger_->debug(text, std::forward<Args>(args)...);
  }
  // Whether debug() says anything: for what is told of every job.
  bool tells_debug() const { return logger_->should_log(spdlog::level::debug); }
  template <typename... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) const {
    logger_->info(text, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) const {
    logger_->warn(text, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void error(fmt::format_string<Args...> text, Args&&... args) const {
    logger_->error(text, std::forward<Args>(args)...);
  }

 private:
  std::shared_ptr<spdlog::logger> logger_;
};

// For the whole process: "debug", "info", "warn", "error" or "off". kInvalid names the choices.
Result<void> set_log_level(const std::string& level);

}  // namespace tandem
