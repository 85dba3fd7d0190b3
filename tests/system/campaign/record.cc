#include "tests/system/campaign/record.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "shared/base/assert.h"
#include "shared/base/hash.h"

namespace tandem::testing {

std::string outcome_word(const Result<JobResult>& outcome) {
  if (outcome) return "done-" + hash128(encode(*outcome)).to_hex();
  return std::string(to_string(outcome.error().code)) + "-" + hash128(outcome.error().text).to_hex();
}

void read_records(const std::string& path, JobRecords& records) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (file.eof()) break;  // a line without an end was never synced
    std::istringstream words(line);
    std::string kind, text, word;
    words >> kind >> text >> word;
    const auto id = JobId::parse(text);
    if (!id) continue;  // began again behind a line without an end
    JobRecord& record = records[*id];
    if (kind == "A") record.accepted = true;
    if (kind == "T") record.heard_twice = true;
    if (kind == "O") record.outcomes.insert(word);
  }
}

RecordWriter::RecordWriter(const std::string& path)
    : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600)), lines_("\n") {
  TANDEM_ASSERT(fd_ >= 0, "a client can write its record");
}

RecordWriter::~RecordWriter() {
  sync();
  ::close(fd_);
}

void RecordWriter::add(char kind, const JobId& id, const std::string& word) {
  lines_ += kind;
  lines_ += " " + id.to_string();
  if (!word.empty()) lines_ += " " + word;
  lines_ += '\n';
}

void RecordWriter::sync() {
  if (lines_.empty()) return;
  const ssize_t n_written = ::write(fd_, lines_.data(), lines_.size());
  TANDEM_ASSERT(n_written == static_cast<ssize_t>(lines_.size()) && ::fdatasync(fd_) == 0,
                "a client can write its record");
  lines_.clear();
}

}  // namespace tandem::testing
