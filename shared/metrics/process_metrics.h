// What every program tells of itself.

#pragma once

#include "shared/base/clock.h"
#include "shared/metrics/metric_page.h"

namespace tandem {

// Version, start time, processor time, memory and open files of this process, under the names that all
// Prometheus libraries use. Any thread.
void add_process_metrics(MetricPage& page);

// How old the other figures of a page are (snapshot_desk.h).
void add_snapshot_age(MetricPage& page, Duration age);

}  // namespace tandem
