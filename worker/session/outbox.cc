#include "worker/session/outbox.h"

#include <algorithm>

#include "shared/base/limits.h"

namespace tandem {

namespace {

// A message holds so many items and bytes; the first item always fits, as payloads have a limit far below.
template <typename Item>
size_t n_that_fit(const std::vector<Item>& items) {
  size_t n = 0, n_bytes = 0;
  while (n < items.size() && n < limits::kItemsPerMessageMax) {
    n_bytes += items[n].payload.size() + limits::kErrorTextBytesMax;
    if (n > 0 && n_bytes > limits::kMessageBytesMax / 2) break;
    ++n;
  }
  return n;
}

}  // namespace

void Outbox::add(ResultItem result) {
  results_.push_back(std::move(result));
}

void Outbox::add(PartialItem part) {
  if (parts_.size() >= parts_max_) {
    const size_t n_old =
        std::max<size_t>(parts_max_ / 4, 1);  // in lumps: erasing from the front moves the rest
    parts_.erase(parts_.begin(),
                 parts_.begin() + static_cast<std::ptrdiff_t>(std::min(n_old, parts_.size())));
    n_parts_dropped_ += n_old;
  }
  parts_.push_back(std::move(part));
}

Message Outbox::next() const {
  if (!parts_.empty()) {
    const auto end = parts_.begin() + static_cast<std::ptrdiff_t>(n_that_fit(parts_));
    return Partial{.worker = worker_, .items = {parts_.begin(), end}};
  }
  const auto end = results_.begin() + static_cast<std::ptrdiff_t>(n_that_fit(results_));
  return ResultMessage{.worker = worker_, .items = {results_.begin(), end}};
}

std::vector<ResultItem> Outbox::sent() {
  if (!parts_.empty()) {
    parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(n_that_fit(parts_)));
    return {};
  }
  const auto end = results_.begin() + static_cast<std::ptrdiff_t>(n_that_fit(results_));
  std::vector<ResultItem> gone(std::make_move_iterator(results_.begin()), std::make_move_iterator(end));
  results_.erase(results_.begin(), end);
  return gone;
}

}  // namespace tandem
