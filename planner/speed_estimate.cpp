// SPDX-License-Identifier: MIT
#include "planner/speed_estimate.h"

#include <algorithm>
#include <cmath>

#include "planner/memory_plan.h"
#include "planner/plan_extras.h"
#include "planner/speed_band.h"

namespace planner {
namespace {

// Micro-batches smaller than this are multiplied where the weights lie; larger ones are worth
// copying the weights to the GPU (llama.cpp's op offload).
constexpr double kOffloadTokens = 32;

// The device that a pass begins on.
const DeviceRates& lead(const PlanBasis& basis, const Placement& placement) {
  return uses_gpu(placement) ? basis.gpus.front() : basis.host;
}

bool splits_every_layer(const PlanBasis& basis, const Placement& placement) {
  const SplitMode mode = basis.settings->split_mode;
  return placement.layers_on_gpu.size() > 1 &&
         (mode == SplitMode::row || mode == SplitMode::tensor);
}

double micro_batch(const PlanBasis& basis) {
  const RunSettings& settings = *basis.settings;
  return std::max(1.0, std::min<double>(settings.n_ubatch, settings.n_batch));
}

// A pass of `tokens` tokens, for all that depends on their number.
struct Pass {
  double tokens = 1;
  double expert_share = 0;   // of a layer's routed experts that the tokens touch together
  double expert_tokens = 1;  // that each of those gets, on average
  /// Tokens whose logits nobody asks for: the last layer ends for them with its attention.
  double unanswered = 0;
};
Pass pass_of(const PlanBasis& basis, double tokens) {
  const hwdb::ModelShape& shape = basis.model->shape;
  Pass pass;
  pass.tokens = tokens;
  if (shape.n_experts == 0) return pass;
  pass.expert_share = hwdb::expected_expert_share(shape.n_experts, shape.n_experts_used, tokens);
  if (pass.expert_share > 0)
    pass.expert_tokens = tokens * shape.n_experts_used / (shape.n_experts * pass.expert_share);
  return pass;
}
Work work_of(const Pass& pass) {
  Work work;
  work.tokens = pass.tokens;
  work.expert_tokens = pass.expert_tokens;
  return work;
}

// Takes the last layer's feed-forward of the unanswered tokens out of its work.
void leave_out_last_ffn(const PlanBasis& basis, const Pass& pass, bool with_experts, Work* work) {
  const hwdb::LayerCosts& layer = basis.model->layers[basis.n_layers() - 1];
  const double ffn_flops = layer.dense_flops_per_token - layer.mixing_flops_per_token;
  work->weight_flops -= pass.unanswered * ffn_flops;
  const double all_flops = layer.dense_flops_per_token + layer.expert_flops_per_token;
  // What travels between products goes about with their arithmetic.
  if (all_flops > 0)
    work->activation_bytes -= pass.unanswered * layer.activations_per_token * sizeof(float) *
                              (ffn_flops + layer.expert_flops_per_token) / all_flops;
  if (!with_experts || layer.expert_bytes == 0) return;
  const Pass rest = pass_of(basis, pass.tokens - pass.unanswered);
  work->expert_flops -= pass.unanswered * layer.expert_flops_per_token;
  work->expert_bytes -=
      static_cast<double>(layer.expert_bytes) * (pass.expert_share - rest.expert_share);
}

// Work of blocks [first, last) on `owner` (a GPU, or kHostDevice) in one pass, without attention.
// Experts of layers below `n_cpu_moe` and what overrides move are left out.
Work blocks_work(const PlanBasis& basis, std::int32_t owner, std::uint32_t first,
                 std::uint32_t last, const Pass& pass, std::uint32_t n_cpu_moe) {
  const LayerSums &a = basis.sums[first], &b = basis.sums[last];
  const LayerSums& moe = basis.sums[std::clamp(n_cpu_moe, first, last)];
  Work work = work_of(pass);
  work.weight_bytes = b.weights - a.weights;
  work.weight_flops = pass.tokens * (b.dense_flops - a.dense_flops);
  work.expert_bytes = (b.experts - moe.experts) * pass.expert_share;
  work.expert_flops = pass.tokens * (b.expert_flops - moe.expert_flops);
  work.activation_bytes = pass.tokens * (b.activations - a.activations);
  work.products = b.products - a.products;
  if (last == basis.n_layers() && last > first && pass.unanswered > 0)
    leave_out_last_ffn(basis, pass, n_cpu_moe < last, &work);
  if (basis.extras) {
    const Work away = moved_away(basis, owner, first, last, pass.tokens, pass.expert_share);
    work.weight_bytes -= away.weight_bytes, work.weight_flops -= away.weight_flops;
    work.expert_bytes -= away.expert_bytes, work.expert_flops -= away.expert_flops;
  }
  return work;
}

// The experts of GPU layers that are computed on the host.
Work host_experts_work(const PlanBasis& basis, std::uint32_t first, std::uint32_t n_cpu_moe,
                       const Pass& pass) {
  Work work = work_of(pass);
  const std::uint32_t end = std::min(n_cpu_moe, basis.n_layers());
  if (end <= first) return work;
  const LayerSums &a = basis.sums[first], &b = basis.sums[end];
  work.expert_bytes = (b.experts - a.experts) * pass.expert_share;
  work.expert_flops = pass.tokens * (b.expert_flops - a.expert_flops);
  return work;
}

void add_output(const PlanBasis& basis, double tokens, Work* work) {
  work->output_bytes += static_cast<double>(basis.model->output_bytes);
  work->output_flops += tokens * basis.model->output_flops_per_token;
  work->output_tokens = tokens;
  work->products += 1;
}

// A score is written, read and written by the softmax, and read, in 32 bits each, where attention
// is not done in one piece.
constexpr double kScoreBytes = 16;

void add_scores(const PlanBasis& basis, double scores, Work* work) {
  work->scores += scores;
  if (!basis.settings->flash_attn) work->activation_bytes += kScoreBytes * scores;
}

// The cache is read once for each sequence, whatever the tokens that look at it.
void add_decode_attention(const PlanBasis& basis, std::uint32_t first, std::uint32_t last,
                          Work* work) {
  const LayerSums &a = basis.sums[first], &b = basis.sums[last];
  work->cache_bytes = basis.batch * (b.cache_read - a.cache_read);
  work->attention_flops = work->tokens * (b.decode_attention_flops - a.decode_attention_flops);
  add_scores(basis, work->tokens * (b.decode_scores - a.decode_scores), work);
}

void add_hand_over(const PlanBasis& basis, double times, double tokens, double bytes_per_s,
                   std::int32_t device, TimeSum* sum) {
  if (times <= 0) return;
  TimeTerm term;
  term.kind = TimeTerm::Kind::link;
  term.bound = Bound::link;
  term.device = device;
  const double bytes = tokens * basis.model->shape.n_embd * 4.0;
  term.amount = times * bytes;
  term.seconds = times * basis.assumptions->link_latency_s;
  if (bytes_per_s > 0) term.seconds += term.amount / bytes_per_s;
  term.rate = term.amount / term.seconds;
  sum->add(term);
}

// Copies what lies in RAM to a GPU, for it to compute with.
void add_copy(const DeviceRates& gpu, double bytes, TimeSum* sum) {
  if (bytes <= 0 || gpu.host_link <= 0) return;
  TimeTerm copy;
  copy.kind = TimeTerm::Kind::link;
  copy.bound = Bound::link;
  copy.device = gpu.gpu;
  copy.amount = bytes;
  copy.rate = gpu.host_link;
  copy.seconds = copy.amount / copy.rate;
  sum->add(copy);
}

// Where attention is computed: with the cache in RAM, flash attention stays on the GPU and has the
// cache copied to it in each pass, and plain attention goes to the processor.
enum class AttentionPlace { with_layers, copied, host };
AttentionPlace attention_place(const PlanBasis& basis, const Placement& placement) {
  if (!basis.settings->kv_on_host || !uses_gpu(placement)) return AttentionPlace::with_layers;
  return basis.settings->flash_attn ? AttentionPlace::copied : AttentionPlace::host;
}

// The device of the output: an override goes before the placement.
std::int32_t output_device(const PlanBasis& basis, const Placement& placement) {
  if (basis.extras) {
    for (const MovedSums& moved : basis.extras->moved)
      if (moved.output_flops > 0) return moved.device;
  }
  return placement.output_on_gpu ? static_cast<std::int32_t>(placement.output_gpu)
                                 : hwdb::kHostDevice;
}

double gpu_link(const PlanBasis& basis) {
  if (basis.machine->gpu_link) return basis.machine->gpu_link->value.value;
  double slowest = 0;
  for (const DeviceRates& gpu : basis.gpus)
    if (gpu.host_link > 0 && (slowest == 0 || gpu.host_link < slowest)) slowest = gpu.host_link;
  return slowest;
}

double share_of(const Placement& placement, std::size_t which) {
  return which < placement.tensor_split.size()
             ? placement.tensor_split[which]
             : 1.0 / static_cast<double>(placement.layers_on_gpu.size());
}

// All GPUs work on every layer at once: the slowest share decides, and the parts are summed up
// over the link twice a layer.
void add_in_parallel(const PlanBasis& basis, const Placement& placement, const Work& work,
                     double tokens, TimeSum* sum) {
  const std::size_t n = placement.layers_on_gpu.size();
  std::size_t slowest = 0;
  double longest = -1;
  for (std::size_t g = 0; g < n; ++g) {
    TimeSum one(nullptr);
    add_work(work.share(share_of(placement, g)), basis.gpus[g], &one);
    if (one.seconds() > longest) longest = one.seconds(), slowest = g;
  }
  add_work(work.share(share_of(placement, slowest)), basis.gpus[slowest], sum);
  const double ring = 2.0 * static_cast<double>(n - 1) / static_cast<double>(n);
  add_hand_over(basis, 2.0 * basis.n_layers(), ring * tokens, gpu_link(basis),
                basis.gpus[slowest].gpu, sum);
}

// Weights that lie on the host: computed there, or for large micro-batches copied to the GPU and
// computed by it.
void add_host_weights(const PlanBasis& basis, const Placement& placement, const Work& work,
                      TimeSum* sum) {
  const DeviceRates* helper =
      (uses_gpu(placement) || placement.borrows_gpu) && work.tokens >= kOffloadTokens
          ? &basis.gpus.front()
          : nullptr;
  if (!helper || helper->host_link <= 0) {
    add_work(work, basis.host, sum);
    return;
  }
  add_copy(*helper, work.weight_bytes + work.expert_bytes, sum);
  Work on_gpu = work;
  on_gpu.weight_bytes = on_gpu.expert_bytes = 0;
  add_work(on_gpu, *helper, sum);
}

// What overrides bring to GPUs from elsewhere, with the way there and back.
void add_moved_to_gpus(const PlanBasis& basis, const Placement& placement, const Pass& pass,
                       TimeSum* sum) {
  for (std::size_t g = 0; g < basis.gpus.size(); ++g) {
    MovedWork moved =
        moved_to(basis, placement, static_cast<std::int32_t>(g), pass.tokens, pass.expert_share);
    if (moved.hand_overs <= 0) continue;
    moved.work.tokens = pass.tokens, moved.work.expert_tokens = pass.expert_tokens;
    add_work(moved.work, basis.gpus[g], sum);
    add_hand_over(basis, moved.hand_overs, pass.tokens, gpu_link(basis), basis.gpus[g].gpu, sum);
  }
}

// One micro-batch of `tokens`, without attention. `slowest_stage`: the longest stage on a GPU, for
// pipelines.
TimeSum prefill_micro_batch(const PlanBasis& basis, const Placement& placement, double tokens,
                            std::vector<TimeTerm>* terms, double* slowest_stage) {
  TimeSum sum(terms);
  Pass pass = pass_of(basis, tokens);
  pass.unanswered = tokens - 1;
  const std::uint32_t n = basis.n_layers();
  const std::uint32_t first_on_gpu = first_gpu_block(basis, placement);
  *slowest_stage = 0;
  if (splits_every_layer(basis, placement)) {
    add_in_parallel(basis, placement,
                    blocks_work(basis, 0, first_on_gpu, n, pass, placement.n_cpu_moe), tokens,
                    &sum);
  } else if (uses_gpu(placement)) {
    std::uint32_t first = first_on_gpu;
    for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g) {
      const std::uint32_t last = first + placement.layers_on_gpu[g];
      if (first == last) continue;
      const double before = sum.seconds();
      add_work(
          blocks_work(basis, static_cast<std::int32_t>(g), first, last, pass, placement.n_cpu_moe),
          basis.gpus[g], &sum);
      if (first > first_on_gpu)
        add_hand_over(basis, 1, tokens, gpu_link(basis), basis.gpus[g].gpu, &sum);
      *slowest_stage = std::max(*slowest_stage, sum.seconds() - before);
      first = last;
    }
  }
  if (first_on_gpu > 0)
    add_host_weights(basis, placement,
                     blocks_work(basis, hwdb::kHostDevice, 0, first_on_gpu, pass, 0), &sum);
  const Work experts = host_experts_work(basis, first_on_gpu, placement.n_cpu_moe, pass);
  if (experts.expert_bytes > 0) add_host_weights(basis, placement, experts, &sum);
  if (basis.extras) {
    MovedWork to_host = moved_to(basis, placement, hwdb::kHostDevice, tokens, pass.expert_share);
    to_host.work.tokens = tokens, to_host.work.expert_tokens = pass.expert_tokens;
    if (to_host.hand_overs > 0) add_host_weights(basis, placement, to_host.work, &sum);
    add_moved_to_gpus(basis, placement, pass, &sum);
  }
  add_pass(lead(basis, placement), &sum);
  return sum;
}

}  // namespace

namespace {

// Tokens that a sequence drafts at a time, and those that a pass over them yields on average: each
// counts as long as all before it were right, and the model's own comes on top.
struct Drafting {
  double tokens = 0, kept = 1;
};
Drafting drafting_of(const PlanBasis& basis) {
  Drafting drafting;
  if (!basis.extras || basis.extras->draft_step_s <= 0) return drafting;
  const DraftSettings& draft = basis.settings->draft;
  const double acceptance = draft.acceptance.value_or(basis.assumptions->draft_acceptance);
  drafting.tokens = draft.n_max;
  double right = 1;
  for (std::uint32_t i = 0; i < draft.n_max; ++i) drafting.kept += right *= acceptance;
  return drafting;
}

TimeSum decode_pass(const PlanBasis& basis, const Placement& placement, double tokens,
                    std::vector<TimeTerm>* terms) {
  TimeSum sum(terms);
  const Pass pass = pass_of(basis, tokens);
  const std::uint32_t n = basis.n_layers();
  const std::uint32_t first_on_gpu = first_gpu_block(basis, placement);
  const AttentionPlace attention = attention_place(basis, placement);
  const std::int32_t output = output_device(basis, placement);
  const auto add_attention = [&](std::uint32_t first, std::uint32_t last, Work* work) {
    if (attention == AttentionPlace::host) return;
    add_decode_attention(basis, first, last, work);
    if (attention == AttentionPlace::copied) work->cache_bytes = 0;
  };
  if (splits_every_layer(basis, placement)) {
    Work work = blocks_work(basis, 0, first_on_gpu, n, pass, placement.n_cpu_moe);
    add_attention(first_on_gpu, n, &work);
    if (output >= 0) add_output(basis, tokens, &work);
    add_in_parallel(basis, placement, work, tokens, &sum);
  } else if (uses_gpu(placement)) {
    std::uint32_t first = first_on_gpu;
    for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g) {
      const std::uint32_t last = first + placement.layers_on_gpu[g];
      const bool has_output = output == static_cast<std::int32_t>(g);
      if (first == last && !has_output) continue;
      Work work =
          blocks_work(basis, static_cast<std::int32_t>(g), first, last, pass, placement.n_cpu_moe);
      add_attention(first, last, &work);
      if (has_output) add_output(basis, tokens, &work);
      add_work(work, basis.gpus[g], &sum);
      if (first > first_on_gpu)
        add_hand_over(basis, 1, tokens, gpu_link(basis), basis.gpus[g].gpu, &sum);
      first = last;
    }
  }
  Work host = blocks_work(basis, hwdb::kHostDevice, 0, first_on_gpu, pass, 0);
  add_decode_attention(basis, 0, attention == AttentionPlace::host ? n : first_on_gpu, &host);
  if (output < 0) add_output(basis, tokens, &host);
  const Work experts = host_experts_work(basis, first_on_gpu, placement.n_cpu_moe, pass);
  host.expert_bytes += experts.expert_bytes;
  host.expert_flops += experts.expert_flops;
  double moved_hand_overs = 0;
  if (basis.extras) {
    const MovedWork moved =
        moved_to(basis, placement, hwdb::kHostDevice, tokens, pass.expert_share);
    host.weight_bytes += moved.work.weight_bytes, host.weight_flops += moved.work.weight_flops;
    host.expert_bytes += moved.work.expert_bytes, host.expert_flops += moved.work.expert_flops;
    moved_hand_overs = moved.hand_overs;
  }
  add_work(host, basis.host, &sum);
  add_pass(lead(basis, placement), &sum);
  if (!uses_gpu(placement)) return sum;
  const DeviceRates& front = basis.gpus.front();
  if (attention == AttentionPlace::copied) {
    const double bytes = basis.sums[n].cache_read - basis.sums[first_on_gpu].cache_read;
    add_copy(front, basis.batch * bytes, &sum);
  }
  const std::uint32_t moe_end =
      std::max(first_on_gpu, std::min(placement.n_cpu_moe, basis.n_layers()));
  const double moe_layers = basis.sums[moe_end].moe_layers - basis.sums[first_on_gpu].moe_layers;
  const double to_attention = attention == AttentionPlace::host ? 2.0 * (n - first_on_gpu) : 0;
  add_hand_over(basis,
                2 * moe_layers + moved_hand_overs + to_attention + (first_on_gpu > 0 ? 1 : 0),
                tokens, front.host_link, front.gpu, &sum);
  if (basis.extras) add_moved_to_gpus(basis, placement, pass, &sum);
  return sum;
}

}  // namespace

TimeSum decode_step(const PlanBasis& basis, const Placement& placement,
                    std::vector<TimeTerm>* terms) {
  const Drafting drafting = drafting_of(basis);
  if (drafting.tokens <= 0) return decode_pass(basis, placement, basis.batch, terms);
  std::vector<TimeTerm> pass_terms;
  TimeSum pass = decode_pass(basis, placement, basis.batch * (1 + drafting.tokens),
                             terms ? &pass_terms : nullptr);
  TimeTerm draft;
  draft.kind = TimeTerm::Kind::draft;
  draft.bound = Bound::overhead;
  draft.device = lead(basis, placement).gpu;
  draft.amount = drafting.tokens;
  draft.rate = 1 / basis.extras->draft_step_s;
  draft.seconds = drafting.tokens * basis.extras->draft_step_s;
  pass.add(draft);
  TimeSum step(terms);
  step.add(pass, 1 / drafting.kept);
  return step;
}

TimeSum prefill_pass(const PlanBasis& basis, const Placement& placement,
                     std::vector<TimeTerm>* terms) {
  const double n = basis.new_tokens;
  const double size = std::min(n, micro_batch(basis));
  const double full = std::floor(n / size), rest = n - full * size;
  TimeSum sum(terms);
  std::vector<TimeTerm> part_terms;
  double stage = 0;
  const TimeSum one =
      prefill_micro_batch(basis, placement, size, terms ? &part_terms : nullptr, &stage);
  // With all layers on several GPUs the micro-batches of a batch follow each other through the
  // pipeline, which runs empty before the next batch.
  const bool pipelined = placement.layers_on_gpu.size() > 1 && stage > 0 && stage < one.seconds() &&
                         first_gpu_block(basis, placement) == 0 && placement.n_cpu_moe == 0 &&
                         !basis.settings->kv_on_host && !any_moved_to_host(basis);
  const double in_batch = std::max(1.0, std::floor(basis.settings->n_batch / size));
  const double fills = std::ceil(full / in_batch);
  sum.add(one, pipelined ? fills + (full - fills) * stage / one.seconds() : full);
  if (rest > 0) {
    part_terms.clear();
    double rest_stage = 0;
    const TimeSum last =
        prefill_micro_batch(basis, placement, rest, terms ? &part_terms : nullptr, &rest_stage);
    sum.add(last, pipelined && full > 0 ? rest_stage / last.seconds() : 1);
  }
  // Attention of all new tokens; what it reads from the cache is small against its arithmetic.
  const std::uint32_t first_on_gpu = first_gpu_block(basis, placement);
  const auto attention = [&](std::uint32_t from, std::uint32_t to, const DeviceRates& device,
                             double part) {
    Work work;
    work.attention_flops =
        part * (basis.sums[to].prefill_attention_flops - basis.sums[from].prefill_attention_flops);
    add_scores(basis, part * (basis.sums[to].prefill_scores - basis.sums[from].prefill_scores),
               &work);
    add_work(work, device, &sum);
  };
  const AttentionPlace where = attention_place(basis, placement);
  if (where == AttentionPlace::copied) {
    // The cache as it has grown by the middle of the prompt, once a micro-batch.
    const double depth = basis.prefill_depth + n / 2;
    const double bytes = basis.sums.back().cache_read - basis.sums[first_on_gpu].cache_read;
    add_copy(basis.gpus.front(),
             std::ceil(n / size) * bytes * std::min(1.0, depth / std::max(1.0, basis.decode_depth)),
             &sum);
  }
  if (uses_gpu(placement) && where != AttentionPlace::host) {
    std::uint32_t first = first_on_gpu;
    const bool parallel = splits_every_layer(basis, placement);
    for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g) {
      const std::uint32_t last = first + placement.layers_on_gpu[g];
      // In a pipeline or in parallel the GPUs work at the same time.
      const double together =
          pipelined || parallel ? 1.0 / static_cast<double>(placement.layers_on_gpu.size()) : 1.0;
      attention(first, last, basis.gpus[g], together);
      first = last;
    }
  }
  attention(0, where == AttentionPlace::host ? basis.n_layers() : first_on_gpu, basis.host, 1);
  // Logits of the last token only.
  Work output;
  add_output(basis, 1, &output);
  const std::int32_t home = output_device(basis, placement);
  add_work(output, home >= 0 ? basis.gpus[static_cast<std::size_t>(home)] : basis.host, &sum);
  return sum;
}

hwdb::Basis basis_of(const PlanBasis& basis, const Placement& placement) {
  hwdb::Basis weakest = hwdb::Basis::measured;
  if (uses_gpu(placement)) {
    for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g)
      if (placement.layers_on_gpu[g] > 0 || placement.output_on_gpu)
        weakest = weaker(weakest, basis.gpus[g].basis);
  }
  return uses_host(basis, placement) ? weaker(weakest, basis.host.basis) : weakest;
}

bool is_speed_known(const PlanBasis& basis, const Placement& placement) {
  if (basis.model->sizes_only) return false;
  if (uses_gpu(placement)) {
    for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g)
      if (placement.layers_on_gpu[g] > 0 && basis.gpus[g].bandwidth <= 0) return false;
  }
  return (placement.output_on_gpu && !uses_host(basis, placement)) || basis.host.bandwidth > 0;
}

SpeedEstimate estimate_speed(const PlanBasis& basis, const Placement& placement) {
  SpeedEstimate speed;
  if (!is_speed_known(basis, placement)) {
    speed.prefill_tok_per_s.basis = speed.decode_tok_per_s.basis = speed.ttft_s.basis =
        speed.request_s.basis = hwdb::Basis::assumed;
    return speed;
  }
  const hwdb::Basis weakest = basis_of(basis, placement);
  speed.decode_terms.reserve(8);
  speed.prefill_terms.reserve(8);
  const TimeSum decode = decode_step(basis, placement, &speed.decode_terms);
  const TimeSum prefill = prefill_pass(basis, placement, &speed.prefill_terms);
  const SpeedBand decode_band = find_band(basis, placement, Phase::decode);
  const SpeedBand prefill_band = find_band(basis, placement, Phase::prefill);
  speed.decode_tok_per_s = decode_band.rate(basis.batch, decode.seconds(), weakest);
  speed.decode_bound = decode.bound();
  speed.decode_accuracy = decode_band.row;
  speed.prefill_tok_per_s = prefill_band.rate(basis.new_tokens, prefill.seconds(), weakest);
  speed.prefill_bound = prefill.bound();
  speed.prefill_accuracy = prefill_band.row;
  speed.ttft_s = prefill_band.time(prefill.seconds(), weakest);
  const double steps = std::max(1.0, basis.workload->n_gen);
  speed.request_s = sum_of(speed.ttft_s, decode_band.time(decode.seconds() * steps, weakest));
  return speed;
}

double request_seconds(const PlanBasis& basis, const Placement& placement) {
  const double answer = std::max(1.0, basis.workload->n_gen);
  return prefill_pass(basis, placement, nullptr).seconds() +
         decode_step(basis, placement, nullptr).seconds() * answer;
}

}  // namespace planner
