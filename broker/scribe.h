// Writes down what turns decided, on a thread of its own: the next turn is heard and decided while the disk
// works.

#pragma once

#include <optional>
#include <thread>
#include <vector>

#include "broker/journal.h"
#include "broker/plan.h"
#include "shared/base/clock.h"
#include "shared/base/inbox.h"
#include "shared/base/wake.h"

namespace tandem::broker {

// Plans that were written, in one commit.
struct Written {
  std::vector<Plan> plans;  // in the order in which they were decided
  Result<void> outcome;     // an error: none of them was
  Duration took{0};
};

// One thread uses it, and the journal too: to read, while the scribe writes.
class Scribe {
 public:
  // Both outlive it.
  Scribe(Journal& journal, const Clock& clock);
  ~Scribe();  // after what it was given is written
  Scribe(const Scribe&) = delete;
  Scribe& operator=(const Scribe&) = delete;

  // Begins to write; not while it is busy.
  void begin(std::vector<Plan> plans);
  bool is_busy() const { return is_busy_; }  // from begin() until what it wrote is taken
  Wake& done() { return done_; }             // set when there is something to take
  std::optional<Written> take();             // nothing: not yet
  Written wait();                            // while it is busy

  // The same, here and now, while it is not busy. Cheaper for few facts than waking another thread and being
  // woken by it.
  Written write(std::vector<Plan> plans);

 private:
  Journal* journal_;
  const Clock* clock_;
  bool is_busy_ = false;
  Wake done_;
  Inbox<std::vector<Plan>> given_;
  Inbox<Written> written_{&done_};
  std::thread thread_;
};

}  // namespace tandem::broker
