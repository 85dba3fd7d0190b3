// What Prometheus reads: figures with their names, labels and types, as one page of text.

#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shared/base/buckets.h"

namespace prometheus {
struct MetricFamily;
struct ClientMetric;
}  // namespace prometheus

namespace tandem {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Names are tandem_<part>_<what>_<unit> in base units (seconds, bytes); those of counters end in _total. The
// same name again adds a figure with other labels. One thread.
class MetricPage {
 public:
  MetricPage();
  ~MetricPage();
  MetricPage(MetricPage&&) noexcept;
  MetricPage& operator=(MetricPage&&) noexcept;

  // Only ever grows, until the process starts anew.
  void counter(const std::string& name, const std::string& help, double value,
               const MetricLabels& labels = {});
  void gauge(const std::string& name, const std::string& help, double value, const MetricLabels& labels = {});
  // `per_unit` of what `buckets` count are one base unit: 1000 when they count milliseconds.
  template <uint64_t... kEnds>
  void histogram(const std::string& name, const std::string& help, const Buckets<kEnds...>& buckets,
                 double per_unit, const MetricLabels& labels = {}) {
    add_histogram(name, help, buckets.kUpTo, buckets.counts(), buckets.sum(), per_unit, labels);
  }

  // In the text format, version 0.0.4.
  std::string text() const;

  const std::vector<prometheus::MetricFamily>& families() const { return *families_; }

 private:
  prometheus::ClientMetric& add(const std::string& name, const std::string& help, int type,
                                const MetricLabels& labels);
  void add_histogram(const std::string& name, const std::string& help, std::span<const uint64_t> ends,
                     std::span<const uint64_t> counts, uint64_t sum, double per_unit,
                     const MetricLabels& labels);

  std::unique_ptr<std::vector<prometheus::MetricFamily>> families_;
};

}  // namespace tandem
