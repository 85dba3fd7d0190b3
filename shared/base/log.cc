#include "shared/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace tandem {

Log::Log(const std::string& part) {
  static const auto sink = [] {
    auto made = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ [%n] %v");
    return made;
  }();
  logger_ = std::make_shared<spdlog::logger>(part, sink);
  logger_->set_level(spdlog::get_level());
  logger_->flush_on(spdlog::level::info);
}

Result<void> set_log_level(const std::string& level) {
  for (const char* known : {"debug", "info", "warn", "error", "off"}) {
    if (level != known) continue;
    spdlog::set_level(spdlog::level::from_str(level));
    return {};
  }
  return fail(ErrorCode::kInvalid,
              "expected a log level (debug, info, warn, error, off), found '" + level + "'");
}

}  // namespace tandem
