// Answers to questions that were asked before in other words, with a bound on P(wrong | served).
//
//   decide(): gates for the text alone -> vector -> nearest donors in the scope -> gates for each pair
//             -> calibration: serve or not, audit or not
//   the model answered:  add() the text as a donor;  learn() what an audit found
//
// Only the user's text is embedded: a template that all prompts share would make all of them near. What else
// the answer depends on is the scope. Answers themselves stay in the answer cache; here are their keys.

#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "worker/cache/semantic/calibration.h"
#include "worker/cache/semantic/embedder.h"
#include "worker/cache/semantic/gates.h"

namespace tandem::semantic {

// Donors answer within their scope only.
struct SemanticScope {
  std::string task_fingerprint;   // the task's content and version, its settings
  std::string model_fingerprint;  // with tokenizer and compute type
  std::string cache_namespace;
  Hash128 context;  // of the turns before the text and of all other variables of the prompt; zero: none
};

// What a task asks for. Evidence is learned per task, model, embedder and policy, across namespaces and
// contexts.
struct SemanticPolicy {
  CalibrationSettings calibration;
  GateSettings gates;
};

struct SemanticDonor {
  uint64_t id = 0;
  Hash128 answer_key;
  std::string text;
  double similarity = 0;
};

// To be kept until both answers are known, and given to learn().
struct SemanticAudit {
  Hash128 evidence_scope;
  AuditTicket ticket;
};

struct SemanticDecision {
  enum class Kind : uint8_t {
    kServe,    // the donor's answer is served
    kClosed,   // a donor passed the gates, and there is not yet enough evidence (or again not) to serve it
    kRefused,  // the nearest donor was refused by a gate, and no other passed
    kNothingNear,  // no donor within the lowest threshold
  };
  Kind kind = Kind::kNothingNear;
  std::optional<SemanticDonor> donor;  // of kServe and kClosed
  std::optional<GateRefusal> refusal;  // of kRefused
  // Compute the model's answer (kClosed: it is computed anyway), compare it with the donor's, call learn().
  std::optional<SemanticAudit> audit;
  std::string rule;  // of kServe: "similarity 0.953 >= 0.940, P(wrong) <= 0.02 by 412 audits"
};

struct SemanticTierOptions {
  std::filesystem::path folder;
  uint64_t bytes_max = 64ull << 20;  // of the store; the oldest donors go first
  uint64_t seed = 0;                 // of the draws that choose audits
};

struct SemanticStats {
  uint64_t hits = 0, closed = 0, nothing_near = 0;
  std::array<uint64_t, kGates> refused{};  // by Gate
  uint64_t audits = 0, audits_wrong = 0;
  uint64_t entries = 0, bytes = 0, evictions = 0;  // of the folder, as last written; evictions by this object
};

// What is known about a task's error, for metrics and `tandem cache stats`.
struct SemanticBound {
  bool open = false;
  double threshold = 0;           // that is served from, when open
  double delta = 0, alpha = 0;    // P(wrong | served) <= delta, but for a chance of alpha
  double audited = 0, wrong = 0;  // weighted, in the open region; in the lowest while closed
};

// Belongs to the frontend thread; any number of processes may have the same folder open. No failure here
// fails a job: errors are for logging.
class SemanticTier {
 public:
  // `embedder` outlives it. Errors of SemanticStore::open.
  static Result<std::unique_ptr<SemanticTier>> open(const SemanticTierOptions& options,
                                                    const Embedder& embedder);
  virtual ~SemanticTier() = default;

  // kInvalid: the policy. Counts in stats().
  virtual Result<SemanticDecision> decide(const SemanticScope& scope, const SemanticPolicy& policy,
                                          std::string_view text, int64_t now_ms) = 0;
  // `wrong`: the model's answer was another than the donor's. Written with the next flush().
  virtual void learn(const SemanticAudit& audit, bool wrong) = 0;
  // The model answered `text`: a donor from now on. Passed over: texts that mean nothing alone. `expires_ms`
  // 0: never. Found at once, written with the next flush().
  virtual Result<void> add(const SemanticScope& scope, const SemanticPolicy& policy, std::string_view text,
                           const Hash128& answer_key, int64_t expires_ms) = 0;
  // The donor's answer is not in the answer cache any more.
  virtual Result<void> forget(uint64_t donor_id) = 0;
  // Writes what is pending, and takes in what other processes wrote since.
  virtual Result<void> flush() = 0;
  virtual Result<void> clear() = 0;
  virtual SemanticStats stats() const = 0;
  virtual SemanticBound bound(const SemanticScope& scope, const SemanticPolicy& policy) const = 0;
  virtual const std::string& note() const = 0;  // as AnswerCache::note()
};

}  // namespace tandem::semantic
