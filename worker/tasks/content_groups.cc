#include "worker/tasks/content_groups.h"

#include <algorithm>
#include <tuple>

namespace tandem {
namespace {

constexpr size_t kContextMax = 8;  // units that equal units are told apart by

class Grouping {
 public:
  Grouping(std::span<const GroupUnit> units, size_t size_max)
      : units_(units),
        size_max_(std::max<size_t>(size_max, 1)),
        size_min_(size_max / 3),
        ends_(units.size()) {
    size_t size = 0;
    for (size_t i = 0; i < units.size(); ++i) ends_[i] = size += units[i].size;
  }

  std::vector<size_t> groups() const {
    std::vector<size_t> groups;
    if (units_.empty()) return groups;
    size_t begin = 0;
    for (size_t i = 0; i < units_.size(); ++i) {
      if (i + 1 < units_.size() && !is_best_around(i)) continue;
      take_apart(begin, i + 1, groups);
      groups.push_back(i + 1);
      begin = i + 1;
    }
    return groups;
  }

 private:
  size_t size_before(size_t unit) const { return unit == 0 ? 0 : ends_[unit - 1]; }

  bool better(size_t a, size_t b) const {
    const auto rank = [&](size_t i) { return std::tuple(units_[i].kind, units_[i].hash); };
    for (size_t n = 0; n < kContextMax; ++n, --a, --b) {
      if (rank(a) != rank(b)) return rank(a) < rank(b);
      if (a == 0 || b == 0) break;
    }
    return false;
  }

  bool is_best_around(size_t unit) const {
    const size_t at = ends_[unit];
    if (ends_.back() <= size_max_ || at < size_min_ || ends_.back() - at < size_min_) return false;
    for (size_t i = unit; i-- > 0 && at - ends_[i] < size_min_;) {
      if (!better(unit, i)) return false;  // of equal ones the first
    }
    for (size_t i = unit + 1; i < units_.size() && ends_[i] - at < size_min_; ++i) {
      if (better(i, unit)) return false;
    }
    return true;
  }

  // Adds the ends inside of [begin, end) that keep its groups within the limit.
  void take_apart(size_t begin, size_t end, std::vector<size_t>& groups) const {
    while (ends_[end - 1] - size_before(begin) > size_max_) {
      const size_t from = size_before(begin);
      const size_t room = ends_[end - 1] - from;
      size_t best = end;
      for (size_t i = begin; i + 1 < end; ++i) {
        const size_t size = ends_[i] - from;
        if (size > size_max_) break;
        if (size < size_min_ || room - size < size_min_) continue;
        if (best == end || !better(best, i)) best = i;  // of equal ones the last: fewer groups
      }
      if (best == end) {  // units so large that there is no choice
        best = begin;
        while (best + 2 < end && ends_[best + 1] - from <= size_max_) ++best;
        if (best + 1 >= end) return;  // one unit, larger than a group
      }
      groups.push_back(best + 1);
      begin = best + 1;
    }
  }

  std::span<const GroupUnit> units_;
  size_t size_max_, size_min_;
  std::vector<size_t> ends_;  // sizes added up
};

}  // namespace

std::vector<size_t> content_defined_groups(std::span<const GroupUnit> units, size_t size_max) {
  return Grouping(units, size_max).groups();
}

}  // namespace tandem
