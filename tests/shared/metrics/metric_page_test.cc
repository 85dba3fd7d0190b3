// What Prometheus gets to read.

#include "shared/metrics/metric_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shared/metrics/process_metrics.h"
#include "tests/support/prometheus_text.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::read_prometheus;

TEST(MetricPageTest, AFigureHasNameHelpTypeAndLabels) {
  MetricPage page;
  page.gauge("tandem_queue_depth", "Jobs.", 3, {{"state", "ready"}});
  page.gauge("tandem_queue_depth", "Jobs.", 4, {{"state", "leased"}});
  page.counter("tandem_jobs_accepted_total", "Jobs.", 12'345'678'901);
  const auto read = read_prometheus(page.text());
  ASSERT_EQ(read.error, "") << page.text();
  EXPECT_EQ(read.types.at("tandem_queue_depth"), "gauge");
  EXPECT_EQ(read.at("tandem_queue_depth{state=\"ready\"}"), 3);
  EXPECT_EQ(read.at("tandem_queue_depth{state=\"leased\"}"), 4);
  EXPECT_EQ(read.at("tandem_jobs_accepted_total"), 12'345'678'901);  // to the last digit
}

// Names of workers come from their operators.
TEST(MetricPageTest, ALabelMayHoldAnything) {
  MetricPage page;
  page.gauge("tandem_worker_leased_jobs", "Jobs.", 1, {{"worker", "a \"b\"\\c\nd"}});
  const auto read = read_prometheus(page.text());
  ASSERT_EQ(read.error, "") << page.text();
  EXPECT_EQ(read.at("tandem_worker_leased_jobs{worker=\"a \\\"b\\\"\\\\c\\nd\"}"), 1);
}

TEST(MetricPageTest, AHistogramCountsUpwardsInBaseUnits) {
  Buckets<1, 10, 100> ms;
  for (const uint64_t value : {0u, 1u, 2u, 10u, 11u, 500u}) ms.add(value);
  MetricPage page;
  page.histogram("tandem_job_seconds", "Time.", ms, 1e3, {{"stage", "ready"}});
  const auto read = read_prometheus(page.text());
  ASSERT_EQ(read.error, "") << page.text();
  EXPECT_EQ(read.at("tandem_job_seconds_bucket{stage=\"ready\",le=\"0.001\"}"), 2);
  EXPECT_EQ(read.at("tandem_job_seconds_bucket{stage=\"ready\",le=\"0.01\"}"), 4);
  EXPECT_EQ(read.at("tandem_job_seconds_bucket{stage=\"ready\",le=\"0.1\"}"), 5);
  EXPECT_EQ(read.at("tandem_job_seconds_bucket{stage=\"ready\",le=\"+Inf\"}"), 6);
  EXPECT_EQ(read.at("tandem_job_seconds_count{stage=\"ready\"}"), 6);
  EXPECT_DOUBLE_EQ(read.at("tandem_job_seconds_sum{stage=\"ready\"}"), 0.524);
}

TEST(MetricPageTest, AProcessTellsOfItself) {
  MetricPage page;
  add_process_metrics(page);
  const auto read = read_prometheus(page.text());
  ASSERT_EQ(read.error, "") << page.text();
  EXPECT_GT(read.at("process_start_time_seconds"), 1.6e9);
  EXPECT_GT(read.at("process_resident_memory_bytes"), 1e5);
  EXPECT_GE(read.at("process_open_fds"), 3);
  EXPECT_THAT(page.text(), HasSubstr("tandem_build_info{version=\"" TANDEM_VERSION "\"} 1"));
}

// The reader itself: a test that accepts everything would prove nothing.
TEST(MetricPageTest, AReaderOfTheFormatFindsMistakes) {
  const std::string head = "# HELP a_total A.\n# TYPE a_total counter\n";
  EXPECT_EQ(read_prometheus(head + "a_total 1\n").error, "");
  EXPECT_NE(read_prometheus(head + "a_total 1").error, "");
  EXPECT_NE(read_prometheus(head + "a_total x\n").error, "");
  EXPECT_NE(read_prometheus(head + "a_total -1\n").error, "");
  EXPECT_NE(read_prometheus(head + "b_total 1\n").error, "");
  EXPECT_NE(read_prometheus(head + "a_total 1\na_total 2\n").error, "");
  EXPECT_NE(read_prometheus(head + head).error, "");
  EXPECT_NE(read_prometheus("a_total 1\n").error, "");
  EXPECT_NE(read_prometheus("# HELP a A.\n# TYPE a counter\na 1\n").error, "");
  const std::string histogram = "# HELP h H.\n# TYPE h histogram\n";
  const std::string sums = "h_count 2\nh_sum 3\n";
  EXPECT_EQ(read_prometheus(histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n" + sums).error, "");
  EXPECT_NE(read_prometheus(histogram + "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\n" + sums).error, "");
  EXPECT_NE(read_prometheus(histogram + "h_bucket{le=\"1\"} 2\n" + sums).error, "");
  EXPECT_NE(read_prometheus(histogram + "h_bucket{le=\"+Inf\"} 1\n" + sums).error, "");
}

}  // namespace
}  // namespace tandem
