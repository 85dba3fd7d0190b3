// What a client of the campaign knows, on disk before it goes on: what it submitted, what was accepted, and
// every outcome it heard. A client that is killed and started again goes on from its record, and the record
// is what the queue is held to in the end.
//
// A line each: "S <id>" before the job is submitted, "A <id>" once it is known to be accepted, "O <id>
// <hash>" for an outcome, "T <id>" for an outcome that one process heard twice.

#pragma once

#include <map>
#include <set>
#include <string>

#include "client/include/tandem/client.h"

namespace tandem::testing {

struct JobRecord {
  bool accepted = false;
  bool heard_twice = false;
  std::set<std::string> outcomes;
};
using JobRecords = std::map<JobId, JobRecord>;

// The outcome as a word without spaces: equal for equal outcomes, and for no others.
std::string outcome_word(const Result<JobResult>& outcome);

// Reads what is there, also after a kill in the middle of a line. Adds to `records`.
void read_records(const std::string& path, JobRecords& records);

class RecordWriter {
 public:
  // Goes on at the end of the file.
  explicit RecordWriter(const std::string& path);
  ~RecordWriter();
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  void add(char kind, const JobId& id, const std::string& word = "");
  // What was added is on disk when this returns.
  void sync();

 private:
  int fd_ = -1;
  std::string lines_;
};

}  // namespace tandem::testing
