// The worker's outer end: its sockets. Jobs come in and go to the frontend, what the frontend made goes out.

#pragma once

#include <functional>
#include <optional>
#include <string>

#include "shared/base/inbox.h"
#include "shared/base/log.h"
#include "shared/base/result.h"
#include "shared/metrics/snapshot_desk.h"
#include "shared/net/context.h"
#include "shared/net/sockets.h"
#include "worker/frontend/messages.h"
#include "worker/session/broker_dialogue.h"
#include "worker/session/figures.h"
#include "worker/session/outbox.h"

namespace tandem {

struct SessionOptions {
  std::string work_endpoint;
  std::string results_endpoint;
  std::optional<ClientKeys> keys;  // for tcp, and a must beyond this machine
  Hello hello;                     // without `held`
  size_t parts_max = 1024;
  Duration patience = std::chrono::seconds(1);   // for an answer to Hello
  Duration drain{};                              // how long to finish what is held once asked to stop
  SnapshotDesk<SessionFigures>* desk = nullptr;  // for metrics; its wake is the session's
};

// Belongs to the thread that calls run().
//
// Results are lost in one way only: the broker dies with them between its socket and its disk. Then they are
// not among what the next Hello names, the broker lends the job again, and the exact cache has the answer.
class Session {
 public:
  // kInvalid for an endpoint that is none. The broker may still be away. Inboxes and wakes outlive the
  // session; `wake` is the one of `inbox`.
  static Result<Session> open(NetContext& net, SessionOptions options, const Clock& clock,
                              Inbox<FromFrontend>& inbox, Wake& wake, Inbox<ToFrontend>& frontend);

  // Until `stop` is set and what was held is finished or given back, or the time for that is over.
  // `on_welcome` is called at the first Welcome: the worker is of use from then on. Gives the number of jobs
  // left unfinished. kUnsupported: the broker speaks another version of the protocol; both are named.
  // kInvalid: the broker refuses the worker's key. Then it is of no use, and what it held is the broker's
  // again.
  Result<size_t> run(Wake& stop, const std::function<bool()>& stop_requested,
                     const std::function<void()>& on_welcome);

 private:
  Session(SessionOptions options, const Clock& clock, Inbox<FromFrontend>& inbox, Wake& wake,
          Inbox<ToFrontend>& frontend, DealerSocket work, PushSocket results);

  Result<void> hear_broker();
  void hear_frontend();
  void hear(PartialItem part);
  void hear(ResultItem result);
  void hear(const ReturnedJob& job);
  void look_for_silence();
  void look_for_stuck_results();
  void speak(const Message& message);
  void look_for_broker();
  Result<void> look_at_keys();
  void send_results();
  void give_figures();
  void wait(Wake& stop, TimePoint until);

  SessionOptions options_;
  const Clock& clock_;
  Inbox<FromFrontend>& inbox_;
  Wake& wake_;
  Inbox<ToFrontend>& frontend_;
  DealerSocket work_;
  PushSocket results_;
  BrokerDialogue dialogue_;
  Outbox outbox_;
  SessionFigures figures_;
  bool broker_away_ = false;
  bool broker_silent_ = false;
  TimePoint results_moved_{};  // the results socket took something, or there was nothing to take
  bool results_stuck_ = false;
  std::string problem_;  // with the keys, as it was logged last
  Log log_{"worker.session"};
};

}  // namespace tandem
