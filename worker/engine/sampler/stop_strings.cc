#include "worker/engine/sampler/stop_strings.h"

#include <algorithm>
#include <utility>

namespace tandem::engine {
namespace {

struct Found {
  size_t whole;    // where the first whole stop string begins, or the end of the text
  size_t partial;  // where the first one begins that the text breaks off in, or the end of the text
};

Found find(const std::vector<std::string>& stops, std::string_view text) {
  Found found{text.size(), text.size()};
  for (const std::string& stop : stops) {
    found.whole = std::min(found.whole, text.find(stop));
    const size_t from = text.size() < stop.size() ? 0 : text.size() - stop.size() + 1;
    for (size_t at = from; at < found.partial; ++at) {
      if (stop.starts_with(text.substr(at))) found.partial = at;
    }
  }
  return found;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
}

StopStrings::Step StopStrings::push(std::string_view text) {
  if (stopped_) return {"", true};
  held_ += text;
  const Found found = find(stops_, held_);
  // One that may begin earlier is waited for, even if a later one is complete.
  stopped_ = found.whole < held_.size() && found.whole <= found.partial;
  Step step{held_.substr(0, std::min(found.whole, found.partial)), stopped_};
  held_.erase(0, stopped_ ? held_.size() : step.text.size());
  return step;
}

std::string StopStrings::finish() {
  const Found found = find(stops_, held_);
  std::string text = held_.substr(0, found.whole);
  held_.clear();
  return text;
}

}  // namespace tandem::engine
