// SPDX-License-Identifier: MIT
#include "probes/measure/matrix_shader.h"

#include <initializer_list>
#include <optional>
#include <string_view>

namespace probes {
namespace {

using engine::NumberType;

// Numbers of the SPIR-V registry.
enum Op : std::uint32_t {
  kOpExtension = 10,
  kOpMemoryModel = 14,
  kOpEntryPoint = 15,
  kOpExecutionMode = 16,
  kOpCapability = 17,
  kOpTypeVoid = 19,
  kOpTypeBool = 20,
  kOpTypeInt = 21,
  kOpTypeFloat = 22,
  kOpTypeVector = 23,
  kOpTypeRuntimeArray = 29,
  kOpTypeStruct = 30,
  kOpTypePointer = 32,
  kOpTypeFunction = 33,
  kOpConstant = 43,
  kOpConstantNull = 46,
  kOpFunction = 54,
  kOpFunctionEnd = 56,
  kOpVariable = 59,
  kOpLoad = 61,
  kOpStore = 62,
  kOpAccessChain = 65,
  kOpDecorate = 71,
  kOpMemberDecorate = 72,
  kOpCompositeExtract = 81,
  kOpIAdd = 128,
  kOpIMul = 132,
  kOpULessThan = 176,
  kOpBitwiseAnd = 199,
  kOpLoopMerge = 246,
  kOpLabel = 248,
  kOpBranch = 249,
  kOpBranchConditional = 250,
  kOpReturn = 253,
  kOpTypeCooperativeMatrix = 4456,
  kOpCooperativeMatrixLoad = 4457,
  kOpCooperativeMatrixStore = 4458,
  kOpCooperativeMatrixMulAdd = 4459,
};
enum Storage : std::uint32_t { kInput = 1, kFunction = 7, kPushConstant = 9, kStorageBuffer = 12 };
enum BuiltIn : std::uint32_t { kWorkgroupId = 26, kNumSubgroups = 38, kSubgroupId = 40 };
enum Use : std::uint32_t { kUseA = 0, kUseB = 1, kUseAccumulator = 2 };
constexpr std::uint32_t kScopeSubgroup = 3;

struct Element {
  std::uint32_t bits;
  bool floating, is_signed;
};

std::optional<Element> element_of(NumberType type) {
  switch (type) {
    case NumberType::float16:
    case NumberType::bfloat16:
      return Element{16, true, true};
    case NumberType::float32:
      return Element{32, true, true};
    case NumberType::sint8:
      return Element{8, false, true};
    case NumberType::uint8:
      return Element{8, false, false};
    case NumberType::sint32:
      return Element{32, false, true};
    case NumberType::uint32:
      return Element{32, false, false};
    case NumberType::other:
      break;
  }
  return std::nullopt;
}

/// Instructions in order; ids are counted up.
class Code {
 public:
  void op(Op opcode, std::initializer_list<std::uint32_t> operands) {
    words.push_back(static_cast<std::uint32_t>((operands.size() + 1) << 16) | opcode);
    words.insert(words.end(), operands);
  }
  void op(Op opcode, std::vector<std::uint32_t> before, std::string_view text,
          std::initializer_list<std::uint32_t> after = {}) {
    // Text is zero-terminated, four bytes a word, the first in the lowest place.
    std::vector<std::uint32_t> packed(text.size() / 4 + 1, 0);
    for (std::size_t i = 0; i < text.size(); ++i)
      packed[i / 4] |= static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]))
                       << (8 * (i % 4));
    before.insert(before.end(), packed.begin(), packed.end());
    before.insert(before.end(), after);
    words.push_back(static_cast<std::uint32_t>((before.size() + 1) << 16) | opcode);
    words.insert(words.end(), before.begin(), before.end());
  }
  std::vector<std::uint32_t> words;
};

class Writer {
 public:
  explicit Writer(const MatrixKernel& kernel) : kernel_(kernel) {}

  std::vector<std::uint32_t> write() {
    // Sections of a module stand in a fixed order, so types and code grow side by side.
    write_types();
    write_function();
    write_preamble();
    std::vector<std::uint32_t> module = {0x07230203, 0x00010300, 0, next_id_, 0};
    for (const Code* part : {&preamble_, &decorations_, &types_, &function_})
      module.insert(module.end(), part->words.begin(), part->words.end());
    return module;
  }

 private:
  std::uint32_t id() { return next_id_++; }
  bool uses(NumberType type) const {
    const auto& s = kernel_.shape;
    return s.a == type || s.b == type || s.c == type || s.result == type;
  }

  void write_preamble() {
    Code& c = preamble_;
    for (const std::uint32_t capability :
         {1U /*Shader*/, 61U /*GroupNonUniform*/, 5345U /*VulkanMemoryModel*/,
          6022U /*CooperativeMatrix*/})
      c.op(kOpCapability, {capability});
    if (uses(NumberType::float16)) c.op(kOpCapability, {9 /*Float16*/});
    if (uses(NumberType::bfloat16)) {
      c.op(kOpCapability, {5116 /*BFloat16Type*/});
      c.op(kOpCapability, {5118 /*BFloat16CooperativeMatrix*/});
    }
    if (uses(NumberType::float16) || uses(NumberType::bfloat16))
      c.op(kOpCapability, {4433 /*StorageBuffer16BitAccess*/});
    if (uses(NumberType::sint8) || uses(NumberType::uint8)) {
      c.op(kOpCapability, {39 /*Int8*/});
      c.op(kOpCapability, {4448 /*StorageBuffer8BitAccess*/});
      c.op(kOpExtension, {}, "SPV_KHR_8bit_storage");
    }
    if (uses(NumberType::bfloat16)) c.op(kOpExtension, {}, "SPV_KHR_bfloat16");
    c.op(kOpExtension, {}, "SPV_KHR_vulkan_memory_model");
    c.op(kOpExtension, {}, "SPV_KHR_cooperative_matrix");
    c.op(kOpMemoryModel, {0 /*Logical*/, 3 /*Vulkan*/});
    c.op(kOpEntryPoint, {5 /*GLCompute*/, main_}, "main",
         {workgroup_id_, subgroup_id_, n_subgroups_});
    c.op(kOpExecutionMode, {main_, 17 /*LocalSize*/, kernel_.workgroup_size, 1, 1});
  }

  std::uint32_t constant(std::uint32_t value) {
    const std::uint32_t result = id();
    types_.op(kOpConstant, {uint_, result, value});
    return result;
  }
  std::uint32_t pointer(Storage storage, std::uint32_t to) {
    const std::uint32_t result = id();
    types_.op(kOpTypePointer, {result, storage, to});
    return result;
  }
  std::uint32_t variable(Storage storage, std::uint32_t pointer_type) {
    const std::uint32_t result = id();
    types_.op(kOpVariable, {pointer_type, result, storage});
    return result;
  }
  std::uint32_t builtin(BuiltIn which, std::uint32_t pointer_type) {
    const std::uint32_t result = variable(kInput, pointer_type);
    decorations_.op(kOpDecorate, {result, 11 /*BuiltIn*/, which});
    return result;
  }

  /// The scalar type, declared once for each number type.
  std::uint32_t scalar(NumberType type) {
    for (const auto& [known, result] : scalars_) {
      if (known == type) return result;
    }
    const Element e = *element_of(type);
    std::uint32_t result = uint_;
    if (type != NumberType::uint32) {
      result = id();
      if (type == NumberType::bfloat16)
        types_.op(kOpTypeFloat, {result, 16, 0 /*BFloat16*/});
      else if (e.floating)
        types_.op(kOpTypeFloat, {result, e.bits});
      else
        types_.op(kOpTypeInt, {result, e.bits, e.is_signed ? 1U : 0U});
    }
    scalars_.emplace_back(type, result);
    return result;
  }

  /// A storage buffer of scalars.
  struct Buffer {
    std::uint32_t variable = 0, element_pointer = 0;
  };
  Buffer buffer(NumberType type, std::uint32_t binding) {
    const std::uint32_t array = id(), block = id();
    types_.op(kOpTypeRuntimeArray, {array, scalar(type)});
    decorations_.op(kOpDecorate, {array, 6 /*ArrayStride*/, element_of(type)->bits / 8});
    types_.op(kOpTypeStruct, {block, array});
    decorations_.op(kOpDecorate, {block, 2 /*Block*/});
    decorations_.op(kOpMemberDecorate, {block, 0, 35 /*Offset*/, 0});
    Buffer result;
    result.variable = variable(kStorageBuffer, pointer(kStorageBuffer, block));
    result.element_pointer = pointer(kStorageBuffer, scalar(type));
    decorations_.op(kOpDecorate, {result.variable, 34 /*DescriptorSet*/, 0});
    decorations_.op(kOpDecorate, {result.variable, 33 /*Binding*/, binding});
    return result;
  }
  std::uint32_t matrix(NumberType type, std::uint32_t rows, std::uint32_t columns, Use use) {
    const std::uint32_t result = id();
    types_.op(kOpTypeCooperativeMatrix, {result, scalar(type), constant(kScopeSubgroup),
                                         constant(rows), constant(columns), constant(use)});
    return result;
  }

  void write_types() {
    const auto& s = kernel_.shape;
    void_ = id();
    types_.op(kOpTypeVoid, {void_});
    function_type_ = id();
    types_.op(kOpTypeFunction, {function_type_, void_});
    bool_ = id();
    types_.op(kOpTypeBool, {bool_});
    uint_ = id();
    types_.op(kOpTypeInt, {uint_, 32, 0});
    const std::uint32_t uint3 = id();
    types_.op(kOpTypeVector, {uint3, uint_, 3});
    uint3_ = uint3;
    const std::uint32_t input_uint = pointer(kInput, uint_);
    workgroup_id_ = builtin(kWorkgroupId, pointer(kInput, uint3));
    subgroup_id_ = builtin(kSubgroupId, input_uint);
    n_subgroups_ = builtin(kNumSubgroups, input_uint);
    const std::uint32_t push_block = id();
    types_.op(kOpTypeStruct, {push_block, uint_, uint_});
    decorations_.op(kOpDecorate, {push_block, 2 /*Block*/});
    decorations_.op(kOpMemberDecorate, {push_block, 0, 35 /*Offset*/, 0});
    decorations_.op(kOpMemberDecorate, {push_block, 1, 35 /*Offset*/, 4});
    push_ = variable(kPushConstant, pointer(kPushConstant, push_block));
    push_uint_ = pointer(kPushConstant, uint_);
    function_uint_ = pointer(kFunction, uint_);
    zero_ = constant(0);
    one_ = constant(1);
    a_ = buffer(s.a, 0);
    b_ = buffer(s.b, 1);
    out_ = buffer(s.result, 2);
    matrix_a_ = matrix(s.a, s.m, s.k, kUseA);
    matrix_b_ = matrix(s.b, s.k, s.n, kUseB);
    matrix_c_ = matrix(s.result, s.m, s.n, kUseAccumulator);
    function_c_ = pointer(kFunction, matrix_c_);
    null_c_ = id();
    types_.op(kOpConstantNull, {matrix_c_, null_c_});
  }

  std::uint32_t element_pointer(const Buffer& of, std::uint32_t index) {
    const std::uint32_t result = id();
    function_.op(kOpAccessChain, {of.element_pointer, result, of.variable, zero_, index});
    return result;
  }
  std::vector<std::uint32_t> load_tiles(const Buffer& from, std::uint32_t type, std::uint32_t n,
                                        std::uint32_t tile, std::uint32_t stride) {
    std::vector<std::uint32_t> tiles;
    const std::uint32_t stride_id = constant(stride);
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t at = element_pointer(from, constant(i * tile));
      tiles.push_back(id());
      function_.op(kOpCooperativeMatrixLoad,
                   {type, tiles.back(), at, zero_ /*row major*/, stride_id});
    }
    return tiles;
  }
  std::uint32_t load(std::uint32_t type, std::uint32_t from) {
    const std::uint32_t result = id();
    function_.op(kOpLoad, {type, result, from});
    return result;
  }
  std::uint32_t push_constant(std::uint32_t member) {
    const std::uint32_t at = id();
    function_.op(kOpAccessChain, {push_uint_, at, push_, member});
    return load(uint_, at);
  }
  std::uint32_t binary(Op opcode, std::uint32_t type, std::uint32_t x, std::uint32_t y) {
    const std::uint32_t result = id();
    function_.op(opcode, {type, result, x, y});
    return result;
  }

  void write_function() {
    const auto& s = kernel_.shape;
    Code& f = function_;
    main_ = id();
    f.op(kOpFunction, {void_, main_, 0, function_type_});
    f.op(kOpLabel, {id()});
    const std::uint32_t turn = id();
    f.op(kOpVariable, {function_uint_, turn, kFunction});
    const std::uint32_t n_tiles = kernel_.rows * kernel_.columns;
    std::vector<std::uint32_t> accumulators;
    for (std::uint32_t i = 0; i < n_tiles; ++i) {
      accumulators.push_back(id());
      f.op(kOpVariable, {function_c_, accumulators.back(), kFunction});
    }
    const auto a = load_tiles(a_, matrix_a_, kernel_.rows, s.m * s.k, s.k);
    const auto b = load_tiles(b_, matrix_b_, kernel_.columns, s.k * s.n, s.n);
    for (const std::uint32_t accumulator : accumulators) f.op(kOpStore, {accumulator, null_c_});
    f.op(kOpStore, {turn, zero_});
    const std::uint32_t turns = push_constant(zero_);

    const std::uint32_t header = id(), test = id(), body = id(), next = id(), after = id();
    f.op(kOpBranch, {header});
    f.op(kOpLabel, {header});
    f.op(kOpLoopMerge, {after, next, 0});
    f.op(kOpBranch, {test});
    f.op(kOpLabel, {test});
    const std::uint32_t more = binary(kOpULessThan, bool_, load(uint_, turn), turns);
    f.op(kOpBranchConditional, {more, body, after});
    f.op(kOpLabel, {body});
    write_products(a, b, accumulators);
    f.op(kOpBranch, {next});
    f.op(kOpLabel, {next});
    f.op(kOpStore, {turn, binary(kOpIAdd, uint_, load(uint_, turn), one_)});
    f.op(kOpBranch, {header});
    f.op(kOpLabel, {after});
    write_results(accumulators);
    f.op(kOpReturn, {});
    f.op(kOpFunctionEnd, {});
  }

  void write_products(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b,
                      const std::vector<std::uint32_t>& accumulators) {
    const auto& s = kernel_.shape;
    // Which of A, B, C and the result are signed integers.
    std::uint32_t operands = 0, bit = 1;
    for (const NumberType type : {s.a, s.b, s.result, s.result}) {
      const Element e = *element_of(type);
      if (!e.floating && e.is_signed) operands |= bit;
      bit <<= 1;
    }
    std::vector<std::uint32_t> values;
    for (const std::uint32_t accumulator : accumulators)
      values.push_back(load(matrix_c_, accumulator));
    for (std::uint32_t step = 0; step < kernel_.rows; ++step) {
      for (std::uint32_t i = 0; i < kernel_.rows; ++i) {
        for (std::uint32_t j = 0; j < kernel_.columns; ++j) {
          std::uint32_t& value = values[i * kernel_.columns + j];
          const std::uint32_t sum = id();
          const std::uint32_t tile = a[(i + step) % kernel_.rows];
          if (operands != 0)
            function_.op(kOpCooperativeMatrixMulAdd, {matrix_c_, sum, tile, b[j], value, operands});
          else
            function_.op(kOpCooperativeMatrixMulAdd, {matrix_c_, sum, tile, b[j], value});
          value = sum;
        }
      }
    }
    for (std::size_t i = 0; i < values.size(); ++i)
      function_.op(kOpStore, {accumulators[i], values[i]});
  }

  void write_results(const std::vector<std::uint32_t>& accumulators) {
    const auto& s = kernel_.shape;
    const std::uint32_t group3 = load(uint3_, workgroup_id_);
    const std::uint32_t group_x = id();
    function_.op(kOpCompositeExtract, {uint_, group_x, group3, 0});
    const std::uint32_t group = binary(kOpBitwiseAnd, uint_, group_x, push_constant(one_));
    const std::uint32_t first = binary(kOpIMul, uint_, group, load(uint_, n_subgroups_));
    const std::uint32_t subgroup = binary(kOpIAdd, uint_, first, load(uint_, subgroup_id_));
    const std::uint32_t tile = s.m * s.n;
    const auto n_tiles = static_cast<std::uint32_t>(accumulators.size());
    const std::uint32_t base = binary(kOpIMul, uint_, subgroup, constant(n_tiles * tile));
    const std::uint32_t stride = constant(s.n);
    for (std::uint32_t i = 0; i < n_tiles; ++i) {
      const std::uint32_t at =
          element_pointer(out_, binary(kOpIAdd, uint_, base, constant(i * tile)));
      function_.op(kOpCooperativeMatrixStore,
                   {at, load(matrix_c_, accumulators[i]), zero_ /*row major*/, stride});
    }
  }

  const MatrixKernel& kernel_;
  Code preamble_, decorations_, types_, function_;
  std::uint32_t next_id_ = 1;
  std::vector<std::pair<NumberType, std::uint32_t>> scalars_;
  std::uint32_t main_ = 0, void_ = 0, bool_ = 0, uint_ = 0, uint3_ = 0, function_type_ = 0;
  std::uint32_t workgroup_id_ = 0, subgroup_id_ = 0, n_subgroups_ = 0, push_ = 0, push_uint_ = 0;
  std::uint32_t function_uint_ = 0, zero_ = 0, one_ = 0;
  Buffer a_, b_, out_;
  std::uint32_t matrix_a_ = 0, matrix_b_ = 0, matrix_c_ = 0, function_c_ = 0, null_c_ = 0;
};

}  // namespace

std::vector<std::uint32_t> make_matrix_shader(const MatrixKernel& kernel) {
  const auto& s = kernel.shape;
  for (const NumberType type : {s.a, s.b, s.c, s.result}) {
    if (!element_of(type)) return {};
  }
  if (s.c != s.result) return {};
  return Writer(kernel).write();
}

}  // namespace probes
