#include "shared/metrics/metric_page.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>

namespace tandem {

using prometheus::MetricType;

MetricPage::MetricPage() : families_(std::make_unique<std::vector<prometheus::MetricFamily>>()) {}
MetricPage::~MetricPage() = default;
MetricPage::MetricPage(MetricPage&&) noexcept = default;
MetricPage& MetricPage::operator=(MetricPage&&) noexcept = default;

prometheus::ClientMetric& MetricPage::add(const std::string& name, const std::string& help, int type,
                                          const MetricLabels& labels) {
  auto family = std::find_if(families_->begin(), families_->end(),
                             [&](const prometheus::MetricFamily& one) { return one.name == name; });
  if (family == families_->end()) {
    family = families_->insert(families_->end(), {name, help, static_cast<MetricType>(type), {}});
  }
  prometheus::ClientMetric& metric = family->metric.emplace_back();
  for (const auto& [label, value] : labels) metric.label.push_back({label, value});
  return metric;
}

void MetricPage::counter(const std::string& name, const std::string& help, double value,
                         const MetricLabels& labels) {
  add(name, help, static_cast<int>(MetricType::Counter), labels).counter.value = value;
}

void MetricPage::gauge(const std::string& name, const std::string& help, double value,
                       const MetricLabels& labels) {
  add(name, help, static_cast<int>(MetricType::Gauge), labels).gauge.value = value;
}

void MetricPage::add_histogram(const std::string& name, const std::string& help,
                               std::span<const uint64_t> ends, std::span<const uint64_t> counts, uint64_t sum,
                               double per_unit, const MetricLabels& labels) {
  auto& histogram = add(name, help, static_cast<int>(MetricType::Histogram), labels).histogram;
  for (size_t i = 0; i < counts.size(); ++i) {
    histogram.sample_count += counts[i];
    const double end =
        i < ends.size() ? static_cast<double>(ends[i]) / per_unit : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({histogram.sample_count, end});
  }
  histogram.sample_sum = static_cast<double>(sum) / per_unit;
}

std::string MetricPage::text() const {
  return prometheus::TextSerializer().Serialize(*families_);
}

}  // namespace tandem
