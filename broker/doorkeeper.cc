#include "broker/doorkeeper.h"

#include <utility>

namespace tandem::broker {

Doorkeeper::Doorkeeper(KeyPair keys, std::unique_ptr<AllowFile> file, std::unique_ptr<ZapHandler> zap)
    : keys_(std::move(keys)), file_(std::move(file)), zap_(std::move(zap)), list_(file_->current()) {}

Result<std::unique_ptr<Doorkeeper>> Doorkeeper::open(NetContext& context, const SecurityConfig& config) {
  if (config.secret_key_file.empty() && config.allow_file.empty()) return std::unique_ptr<Doorkeeper>();
  if (config.secret_key_file.empty() || config.allow_file.empty()) {
    return fail(ErrorCode::kInvalid,
                "security: expected both secret_key_file and allow_file, or neither, found one of them");
  }
  auto keys = load_key_pair(config.secret_key_file);
  if (!keys) return fail_in("security.secret_key_file", std::move(keys).error());
  auto file = AllowFile::open(config.allow_file);
  if (!file) return fail_in("security.allow_file", std::move(file).error());
  TANDEM_ASSIGN(auto zap, ZapHandler::start(context, **file));
  return std::unique_ptr<Doorkeeper>(new Doorkeeper(std::move(*keys), std::move(*file), std::move(zap)));
}

std::vector<std::string> Doorkeeper::refresh() {
  const std::shared_ptr<const Allowlist> before = std::exchange(list_, file_->current());
  std::vector<std::string> gone;
  if (before == list_) return gone;
  for (const auto& [key, peer] : before->peers()) {
    const PeerName* now = list_->find(key);
    if (now == nullptr || *now != peer) gone.push_back(key);
  }
  return gone;
}

}  // namespace tandem::broker
