#include "worker/worker.h"

#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "shared/base/inbox.h"
#include "shared/base/log.h"
#include "shared/metrics/process_metrics.h"
#include "shared/net/context.h"
#include "worker/cache/answer_cache.h"
#include "worker/engine/kernels/simd.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/frontend/frontend.h"
#include "worker/kv_tier.h"
#include "worker/scheduler/capacity.h"
#include "worker/scheduler/inference_loop.h"
#include "worker/session/session.h"

namespace tandem {

namespace {

// The token that ends a turn of the assistant, which tells a whole label from the beginning of a longer one.
engine::TokenId turn_end(const engine::Tokenizer& tokenizer, const engine::ModelConfig& model) {
  if (const auto id = tokenizer.special_id("<|im_end|>")) return *id;
  return model.end_tokens.empty() ? -1 : model.end_tokens.front();
}

Hello hello_of(const WorkerConfig& config, const engine::Model& model, const TaskBook& tasks,
               const Capacity& capacity) {
  Hello hello;
  hello.worker = config.name;
  hello.host = config.host;
  hello.model = model.fingerprint();
  hello.credit_max = static_cast<uint32_t>(capacity.credits);
  hello.interactive_extra = static_cast<uint32_t>(capacity.interactive_extra);
  hello.cost_max = capacity.cost_max;
  for (const auto& [name, task] : tasks.tasks()) hello.tasks.push_back(name);
  return hello;
}

engine::ModelOptions model_options(const WorkerConfig& config) {
  return {.n_threads = config.threads,
          .pin = config.pin,
          .compute = config.compute == "f32"    ? engine::ComputeType::kF32
                     : config.compute == "bf16" ? engine::ComputeType::kBf16
                                                : engine::ComputeType::kQ8,
          .kv = config.kv == "f32" ? engine::KvType::kF32 : engine::KvType::kF16,
          .packed_folder = config.packed_folder};
}

// A store that cannot be opened costs time, and no worker.
std::unique_ptr<KvTier> open_tier(const WorkerConfig& config, const engine::Model& model, const Log& log) {
  const engine::KvShape shape = model.kv_shape();
  if (!config.cache || config.prefix_bytes == 0) return nullptr;
  if (config.prefix_bytes < shape.block_bytes()) {
    log.warn("cache.prefix_bytes={} holds no block of {} tokens, which takes {}: in memory only",
             config.prefix_bytes, engine::kBlockTokens, shape.block_bytes());
    return nullptr;
  }
  auto tier = KvTier::open({.store = {.folder = config.cache_folder / "prefix",
                                      .bytes_max = config.prefix_bytes,
                                      .identity = kv_identity(model.fingerprint(), shape),
                                      .block_bytes = shape.block_bytes()}});
  if (!tier) {
    log.warn("keys and values stay in memory only: {}", tier.error().text);
    return nullptr;
  }
  if (!(*tier)->note().empty()) log.warn("{}", (*tier)->note());
  return std::move(*tier);
}

MetricPage page_of(const SnapshotDesk<SessionFigures>::Snapshot& snapshot, const KvTier* tier) {
  MetricPage page = snapshot.figures ? metrics_of(*snapshot.figures) : MetricPage();
  if (tier != nullptr) add_metrics(page, tier->figures());
  if (snapshot.figures) add_snapshot_age(page, snapshot.age);
  add_process_metrics(page);
  return page;
}

}  // namespace

Result<void> run_worker(const WorkerConfig& config, const Clock& clock, StopSignal& stop,
                        const std::function<void(const std::string&)>& on_ready) {
  const Log log("worker");
  const TimePoint started = clock.now();

  TANDEM_ASSIGN(TaskFolder tasks, TaskFolder::open(config.tasks));
  TANDEM_ASSIGN(const engine::Tokenizer tokenizer, engine::Tokenizer::load(config.model));
  TANDEM_ASSIGN(engine::ChatTemplate chat_template, engine::ChatTemplate::load(config.model));
  TANDEM_ASSIGN(const std::unique_ptr<engine::Model> model,
                engine::Model::load(config.model, model_options(config)));

  TANDEM_ASSIGN(const Capacity capacity, derive_capacity({.kv_bytes = config.kv_bytes,
                                                          .sequences_max = config.sequences_max,
                                                          .batch_tokens_max = config.batch_tokens_max},
                                                         model->kv_shape(), model->config().n_positions_max));
  log.info("capacity {}", capacity.describe());
  TANDEM_ASSIGN(engine::KvCache kv, engine::KvCache::create(model->kv_shape(), capacity.n_blocks));

  std::unique_ptr<AnswerCache> cache;
  if (config.cache) {
    TANDEM_ASSIGN(cache,
                  AnswerCache::open({.folder = config.cache_folder, .bytes_max = config.cache_bytes}, clock));
    if (!cache->note().empty()) log.warn("{}", cache->note());
  }
  const std::unique_ptr<KvTier> tier = open_tier(config, *model, log);

  // Session (this thread) -> frontend -> inference -> frontend -> session.
  Wake session_wake;
  Inbox<FromFrontend> session_inbox(&session_wake);
  Inbox<ToFrontend> frontend_inbox;
  Inbox<ToInference> inference_inbox;

  SnapshotDesk<SessionFigures> desk(clock, session_wake);
  TANDEM_ASSIGN(const auto metrics,
                MetricsServer::open(config.metrics, [&] { return page_of(desk.look(), tier.get()); }));

  NetContext net;
  SessionOptions session_options{.work_endpoint = config.work_endpoint,
                                 .results_endpoint = config.results_endpoint,
                                 .keys = config.keys,
                                 .hello = hello_of(config, *model, *tasks.book(), capacity),
                                 .parts_max = capacity.parts_max,
                                 .drain = config.drain,
                                 .desk = &desk};
  TANDEM_ASSIGN(Session session, Session::open(net, std::move(session_options), clock, session_inbox,
                                               session_wake, frontend_inbox));

  Frontend frontend({.worker = config.name,
                     .model = {.model_fingerprint = model->fingerprint(),
                               .tokenizer = &tokenizer,
                               .chat_template = std::move(chat_template),
                               .end_token = turn_end(tokenizer, model->config()),
                               .sequence_tokens_max = capacity.sequence_tokens_max},
                     .tasks = std::move(tasks),
                     .cache = std::move(cache)},
                    clock, frontend_inbox, inference_inbox, session_inbox);

  InferenceLoop inference(
      *model, tokenizer, std::move(kv), capacity.scheduler_limits(), clock, inference_inbox,
      [&](FromInference news) { std::visit([&](auto& one) { frontend_inbox.push(std::move(one)); }, news); },
      tier.get());
  inference.warm_up();
  log.info("model ready folder={} fingerprint={} compute={} kv={} simd={} ms={}", config.model.string(),
           model->fingerprint(), config.compute, config.kv, engine::simd().name,
           to_us(clock.now() - started) / 1000);
  if (const char* const wish = std::getenv("TANDEM_SIMD"); wish != nullptr && engine::simd().name != wish) {
    log.warn("TANDEM_SIMD={} is nothing that this CPU can run; using {}", wish, engine::simd().name);
  }
  if (!config.packed_folder.empty() && !model->weights_are_shared()) {
    log.warn(
        "engine.packed_folder={} cannot be written or has no room: packed weights are this process's own, "
        "and are packed again at every start",
        config.packed_folder.string());
  }
  frontend.prime_tasks();  // computed when there is time: the first jobs go before it, or find it done

  std::thread frontend_thread([&] { frontend.run(); });
  std::thread inference_thread([&] { inference.run(); });
  const Result<size_t> n_unfinished = session.run(
      stop.wake(), [&] { return stop.requested(); },
      [&] {
        on_ready("worker=" + config.name + " model=" + model->fingerprint() + " credits=" +
                 std::to_string(capacity.credits) + (metrics ? " metrics=" + metrics->address() : ""));
      });
  // Nothing more goes in: the frontend empties its inbox and ends, the inference after it.
  frontend_inbox.close();
  frontend_thread.join();
  inference_inbox.close();
  inference_thread.join();
  const InferenceCounters& counters = inference.counters();
  log.info(
      "stopped unfinished={} steps={} prompt_tokens={} cached_tokens={} loaded_tokens={} primed_tokens={} "
      "computed_tokens={}",
      n_unfinished.value_or(0), counters.n_steps, counters.prompt_tokens, counters.cached_tokens,
      counters.loaded_tokens, counters.primed_tokens, counters.computed_tokens);
  if (!n_unfinished) return fail(n_unfinished.error());
  return {};
}

}  // namespace tandem
