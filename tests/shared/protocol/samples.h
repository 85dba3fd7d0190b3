// Messages to test with: one of every kind with all fields set, and random ones.

#pragma once

#include <random>
#include <string>
#include <vector>

#include "shared/protocol/job.h"
#include "shared/protocol/messages.h"

namespace tandem::testing {

// Every kind once, in the order of `Message`; no field has its default.
std::vector<Message> sample_messages();

// Any kind, any number of items, any valid value in every field.
Message random_message(std::mt19937_64& random);

JobRequest sample_request();
JobResult sample_result();
JobPart sample_part();
JobRequest random_request(std::mt19937_64& random);
JobResult random_result(std::mt19937_64& random);

std::string to_hex(std::string_view bytes);
std::string from_hex(std::string_view hex);

}  // namespace tandem::testing
