// The text format of Prometheus, read strictly: what promtool would complain of is an error here.

#pragma once

#include <map>
#include <string>

namespace tandem::testing {

struct PrometheusText {
  std::map<std::string, std::string> types;  // of each family
  std::map<std::string, double> samples;     // by name and labels, as they are written
  std::string error;                         // what is wrong with it, with its line; empty if nothing is

  // Fails the test if there is no such sample.
  double at(const std::string& sample) const;
};

// Held to the format, version 0.0.4, and to its conventions: HELP and TYPE come first and once, a family is
// in one piece, no sample comes twice, counters end in _total, histograms are cumulative and end in +Inf with
// their count.
PrometheusText read_prometheus(const std::string& text);

// The body of GET http://address/path, with its status in front: "200 ...". Empty: nobody there.
std::string http_get(const std::string& address, const std::string& path);

}  // namespace tandem::testing
