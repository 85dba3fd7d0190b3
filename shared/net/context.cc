#include "shared/net/context.h"

#include <zmq.hpp>

namespace tandem {

NetContext::NetContext() : context_(std::make_unique<zmq::context_t>(1)) {}
NetContext::~NetContext() = default;

}  // namespace tandem
