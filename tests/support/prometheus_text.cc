#include "tests/support/prometheus_text.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

namespace tandem::testing {
namespace {

const std::string kName = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const std::string kLabel = "[a-zA-Z_][a-zA-Z0-9_]*=\"(?:[^\"\\\\\\n]|\\\\[\\\\n\"])*\"";
const std::regex kHelp("# HELP (" + kName + ") (.+)");
const std::regex kType("# TYPE (" + kName + ") (counter|gauge|histogram|summary)");
const std::regex kSample("(" + kName + ")(?:\\{(" + kLabel + "(?:," + kLabel + ")*)\\})? (\\S+)");

std::optional<double> value_of(const std::string& text) {
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return text.empty() || *end != 0 ? std::nullopt : std::optional(value);
}

// Of an answer that begins so; at least one byte more as long as that is not known.
size_t whole_size(const std::string& answer) {
  const size_t head = answer.find("\r\n\r\n"), length = answer.find("Content-Length: ");
  if (head == std::string::npos || length > head) return answer.size() + 1;
  return head + 4 + std::stoul(answer.substr(length + 16));
}

class Reader {
 public:
  PrometheusText read(const std::string& text) {
    if (text.empty() || text.back() != '\n') return failed("expected a line feed at the end");
    std::istringstream lines(text);
    for (std::string line; page_.error.empty() && std::getline(lines, line);) {
      ++n_line_;
      read_line(line);
    }
    if (page_.error.empty()) end_family();
    return std::move(page_);
  }

 private:
  PrometheusText failed(const std::string& text) {
    if (page_.error.empty()) page_.error = "line " + std::to_string(n_line_) + ": " + text;
    return page_;
  }

  void read_line(const std::string& line) {
    std::smatch found;
    if (std::regex_match(line, found, kHelp)) {
      end_family();
      family_ = found[1];
      if (!families_.insert(family_).second) failed("family " + family_ + " comes a second time");
    } else if (std::regex_match(line, found, kType)) {
      if (found[1] != family_ || !type_.empty()) failed("TYPE without its HELP");
      type_ = found[2];
      page_.types[family_] = type_;
      const bool has_total = family_.size() > 6 && family_.ends_with("_total");
      if (has_total != (type_ == "counter")) failed("counters, and no others, end in _total: " + family_);
    } else if (std::regex_match(line, found, kSample)) {
      read_sample(found[1], found[2], found[3], line);
    } else {
      failed("expected HELP, TYPE or a sample, found '" + line + "'");
    }
  }

  void read_sample(const std::string& name, const std::string& labels, const std::string& text,
                   const std::string& line) {
    if (type_.empty()) failed("a sample without its TYPE");
    const auto value = value_of(text);
    if (!value) failed("expected a number, found '" + text + "'");
    if (!page_.error.empty()) return;
    if (!page_.samples.emplace(line.substr(0, line.rfind(' ')), *value).second) failed("twice: " + line);
    if (type_ == "counter" && *value < 0) failed("expected a counter of at least 0, found " + text);
    const std::string suffix = name.size() >= family_.size() ? name.substr(family_.size()) : "?";
    if (type_ != "histogram") {
      const bool is_part = suffix.empty() || (type_ == "summary" && (suffix == "_sum" || suffix == "_count"));
      if (!name.starts_with(family_) || !is_part) failed("a sample of another family: " + name);
      return;
    }
    std::smatch end;
    static const std::regex le("(?:,)?le=\"([^\"]*)\"");
    const std::string series = std::regex_replace(labels, le, "");
    Histogram& histogram = histograms_[series];
    if (suffix == "_bucket") {
      if (!std::regex_search(labels, end, le) || !value_of(end[1]))
        return void(failed("a bucket without end"));
      if (*value_of(end[1]) <= histogram.end) failed("expected ends of buckets to ascend: " + line);
      if (*value < histogram.n) failed("expected buckets to be cumulative: " + line);
      histogram.end = *value_of(end[1]);
      histogram.n = *value;
    } else if (suffix == "_count") {
      histogram.count = *value;
    } else if (suffix == "_sum") {
      histogram.has_sum = true;
    } else {
      failed("a sample of another family: " + name);
    }
  }

  void end_family() {
    if (!family_.empty() && type_.empty()) failed("HELP without TYPE: " + family_);
    for (const auto& [labels, histogram] : histograms_) {
      if (histogram.end != std::numeric_limits<double>::infinity()) failed(family_ + " has no bucket +Inf");
      if (histogram.count != histogram.n || !histogram.has_sum) failed(family_ + ": count or sum is wrong");
    }
    histograms_.clear();
    type_.clear();
  }

  struct Histogram {
    double end = -std::numeric_limits<double>::infinity(), n = 0, count = -1;
    bool has_sum = false;
  };
  PrometheusText page_;
  std::string family_, type_;
  std::set<std::string> families_;
  std::map<std::string, Histogram> histograms_;  // of this family, by the other labels
  int n_line_ = 0;
};

}  // namespace

double PrometheusText::at(const std::string& sample) const {
  const auto found = samples.find(sample);
  EXPECT_TRUE(found != samples.end()) << "no sample " << sample;
  return found == samples.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

PrometheusText read_prometheus(const std::string& text) {
  return Reader().read(text);
}

std::string http_get(const std::string& address, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  const size_t colon = address.rfind(':');
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) {
    const std::string request =
        "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
    EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    // The server lingers after the last byte: it is known by its number.
    while (answer.size() < whole_size(answer)) {
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      answer.append(buffer, static_cast<size_t>(n));
    }
  }
  ::close(fd);
  const size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos) return {};
  return answer.substr(9, 3) + " " + answer.substr(body + 4);
}

}  // namespace tandem::testing
