#include "tests/engine/support/golden.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "shared/base/assert.h"
#include "shared/base/file.h"
#include "worker/engine/tensor/safetensors.h"

namespace tandem::testing {

std::map<std::string, GoldenArray> load_arrays(const std::string& path) {
  std::map<std::string, GoldenArray> arrays;
  const MappedFile file = must(MappedFile::open(path));
  for (const engine::StoredTensor& tensor : must(engine::parse_safetensors(file.bytes()))) {
    TANDEM_ASSERT(tensor.type == "F32", "golden arrays are F32");
    GoldenArray& array = arrays[tensor.name];
    array.shape = tensor.shape;
    array.values.resize(tensor.bytes.size() / sizeof(float));
    std::memcpy(array.values.data(), tensor.bytes.data(), tensor.bytes.size());
  }
  return arrays;
}

Golden Golden::load(const std::string& model) {
  const std::string path = "data/golden/golden/" + model;
  const nlohmann::json json = nlohmann::json::parse(must(read_file(path + ".json", 16u << 20)));
  Golden golden;
  for (const nlohmann::json& item : json.at("cases")) {
    GoldenCase& one = golden.cases_.emplace_back();
    one.name = item.at("case");
    one.tokens = item.at("ids").get<engine::Tokens>();
    one.greedy_32 = item.at("greedy_32").get<engine::Tokens>();
    one.greedy_margins = item.at("greedy_margins").get<std::vector<double>>();
    one.sel_positions = item.value("sel_positions", std::vector<size_t>{});
  }
  golden.arrays_ = load_arrays(path + ".safetensors");
  return golden;
}

const GoldenCase& Golden::find(const std::string& name) const {
  for (const GoldenCase& one : cases_) {
    if (one.name == name) return one;
  }
  TANDEM_ASSERT(false, "the case is in the golden data");
}

const GoldenArray& Golden::array(const std::string& name) const {
  const auto found = arrays_.find(name);
  TANDEM_ASSERT(found != arrays_.end(), "the array is in the golden data");
  return found->second;
}

Difference compare(std::span<const float> found, std::span<const float> expected) {
  const double infinity = std::numeric_limits<double>::infinity();
  if (found.size() != expected.size() || expected.empty()) return {infinity, infinity};
  double mean = 0, error = 0, deviation = 0, max_abs = 0;
  for (const float value : expected) mean += value / static_cast<double>(expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = static_cast<double>(found[i]) - expected[i];
    if (!(std::fabs(difference) <= max_abs)) max_abs = std::fabs(difference);
    if (std::isnan(difference)) return {infinity, infinity};
    error += difference * difference;
    deviation += (expected[i] - mean) * (expected[i] - mean);
  }
  return {max_abs, deviation == 0 ? 0 : std::sqrt(error / deviation)};
}

}  // namespace tandem::testing
