// What every classifier is computed with. The preprocessing is in 32 bits, as it was in training; the network in 64.

using Values = std::array<float, n_features>;

template <std::size_t N>
using Nodes = std::array<double, N>;

inline float clip(float value, float low, float high) { return value < low ? low : (value > high ? high : value); }

// Missing values become NaN: sentinels, and whatever is not a finite number.
inline void remove(float& value, std::initializer_list<float> sentinels) {
  if (!std::isfinite(value)) value = std::numeric_limits<float>::quiet_NaN();
  for (const float sentinel : sentinels)
    if (value == sentinel) value = std::numeric_limits<float>::quiet_NaN();
}

inline void fill(Values& values, const float (&becomes)[n_features]) {
  for (std::size_t i = 0; i < n_features; ++i)
    if (std::isnan(values[i])) values[i] = becomes[i];
}

inline void take_logarithm(float& value, float lowest, float typical) {
  const float distance = clip((value - lowest) / typical, -1.7e38f, 1.7e38f);
  const float size = static_cast<float>(std::log1p(std::abs(static_cast<double>(distance))));
  value = std::copysign(size, distance);
}

inline void standardise(Values& values, const float (&centre)[n_features], const float (&scale)[n_features]) {
  for (std::size_t i = 0; i < n_features; ++i) values[i] = clip((values[i] - centre[i]) / scale[i], -1e6f, 1e6f);
}

inline void compress(Values& values) {
  for (float& value : values) {
    const float part = value / 3.0f;
    value /= std::sqrt(1.0f + part * part);
  }
}

template <std::size_t K>
void interpolate(Values& values, const float (&knots)[n_features][K], const float (&becomes)[n_features][K]) {
  for (std::size_t i = 0; i < n_features; ++i) {
    const float inside = clip(values[i], knots[i][0], knots[i][K - 1]);
    std::size_t below = 0, above = K;  // the last knot at or below the value, by halves
    while (above - below > 1) {
      const std::size_t middle = (below + above) / 2;
      (inside >= knots[i][middle] ? below : above) = middle;
    }
    const std::size_t after = below + 1 < K ? below + 1 : below;
    const float width = knots[i][after] - knots[i][below];
    const float position = (inside - knots[i][below]) / (width > 0.0f ? width : 1.0f);
    const float found = becomes[i][below] + position * (becomes[i][after] - becomes[i][below]);
    values[i] = found < becomes[i][after] ? found : becomes[i][after];
  }
}

inline Nodes<n_features> inputs(const Values& values) {
  Nodes<n_features> found{};
  for (std::size_t i = 0; i < n_features; ++i) found[i] = values[i];
  return found;
}

// One more input for each feature that may be missing: 1 where it is.
template <std::size_t K>
Nodes<n_features + K> inputs(const Values& values, const Values& given, const std::size_t (&indicators)[K]) {
  Nodes<n_features + K> found{};
  for (std::size_t i = 0; i < n_features; ++i) found[i] = values[i];
  for (std::size_t i = 0; i < K; ++i) found[n_features + i] = std::isnan(given[indicators[i]]) ? 1.0 : 0.0;
  return found;
}

inline float narrow(double value) { return static_cast<float>(value); }

template <std::size_t N>
Nodes<N> multiplied(const Nodes<N>& x, const float (&factor)[N]) {
  Nodes<N> found{};
  for (std::size_t i = 0; i < N; ++i) found[i] = narrow(x[i]) * factor[i];
  return found;
}

template <std::size_t N, std::size_t E>
Nodes<N * (E - 1)> piecewise_linear(const Nodes<N>& x, const float (&edges)[N][E]) {
  Nodes<N * (E - 1)> found{};
  for (std::size_t i = 0; i < N; ++i)
    for (std::size_t k = 0; k + 1 < E; ++k) {
      const float width = edges[i][k + 1] - edges[i][k];
      found[i * (E - 1) + k] = clip((narrow(x[i]) - edges[i][k]) / (width > 1e-6f ? width : 1e-6f), 0.0f, 1.0f);
    }
  return found;
}

template <std::size_t N, std::size_t F, std::size_t O>
Nodes<N + N * O> periodic(const Nodes<N>& x, const float (&frequency)[N][F], const double (&weight)[N][O][2 * F],
                          const double (&bias)[N][O]) {
  Nodes<N + N * O> found{};
  for (std::size_t i = 0; i < N; ++i) {
    found[i] = x[i];
    for (std::size_t o = 0; o < O; ++o) {
      double sum = bias[i][o];
      for (std::size_t f = 0; f < F; ++f) {
        const double angle = frequency[i][f] * narrow(x[i]);
        sum += weight[i][o][f] * std::sin(angle) + weight[i][o][F + f] * std::cos(angle);
      }
      found[N + i * O + o] = narrow(sum > 0.0 ? sum : 0.0);
    }
  }
  return found;
}

template <std::size_t O, std::size_t I>
Nodes<O> product(const double (&weight)[O][I], const Nodes<I>& x) {
  Nodes<O> found{};
  for (std::size_t o = 0; o < O; ++o)
    for (std::size_t i = 0; i < I; ++i) found[o] += weight[o][i] * x[i];
  return found;
}

template <std::size_t N>
void add(Nodes<N>& x, const double (&bias)[N]) {
  for (std::size_t i = 0; i < N; ++i) x[i] += bias[i];
}

template <std::size_t N>
void add(Nodes<N>& x, const Nodes<N>& other) {
  for (std::size_t i = 0; i < N; ++i) x[i] += other[i];
}

template <std::size_t N>
void normalise(Nodes<N>& x, const double (&scale)[N]) {
  double mean = 0.0, variance = 0.0;
  for (const double each : x) mean += each / static_cast<double>(N);
  for (const double each : x) variance += (each - mean) * (each - mean) / static_cast<double>(N);
  for (std::size_t i = 0; i < N; ++i) x[i] = scale[i] * (x[i] - mean) / std::sqrt(variance + 1e-5);
}

template <std::size_t N, class Function>
void apply(Nodes<N>& x, Function function) {
  for (double& each : x) each = function(each);
}

inline double relu(double x) { return x > 0.0 ? x : 0.0; }
inline double elu(double x) { return x > 0.0 ? x : std::expm1(x); }
inline double selu(double x) { return x > 0.0 ? 1.0507009873554805 * x : 1.7580993408473766 * std::expm1(x); }
inline double softplus(double x) { return relu(x) + std::log1p(std::exp(-std::abs(x))); }
inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
inline double silu(double x) { return x / (1.0 + std::exp(-x)); }
inline double mish(double x) { return x * std::tanh(softplus(x)); }
inline double hyperbolic(double x) { return std::tanh(x); }
inline double gelu(double x) {
  return 0.5 * x * (1.0 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

// Fixed point, as ap_fixed defines it: numbers in steps of 2^-fraction, from the lowest to the highest.
enum class Rounding { TRN, TRN_ZERO, RND, RND_MIN_INF, RND_ZERO, RND_INF, RND_CONV };
enum class Overflow { SAT, SAT_SYM, SAT_ZERO, WRAP };

inline double rounded(double steps, Rounding rounding) {
  const double whole = std::trunc(steps), rest = steps - whole;
  switch (rounding) {
    case Rounding::TRN: return std::floor(steps);
    case Rounding::TRN_ZERO: return whole;
    case Rounding::RND: return whole + (rest >= 0.5) - (rest < -0.5);
    case Rounding::RND_MIN_INF: return whole + (rest > 0.5) - (rest <= -0.5);
    case Rounding::RND_ZERO: return whole + (rest > 0.5) - (rest < -0.5);
    case Rounding::RND_INF: return whole + (rest >= 0.5) - (rest <= -0.5);
    case Rounding::RND_CONV: break;
  }
  const bool odd = std::fmod(whole, 2.0) != 0.0;
  return whole + (rest > 0.5 || (rest == 0.5 && odd)) - (rest < -0.5 || (rest == -0.5 && odd));
}

struct Format {
  int bits, fraction;
  double lowest, highest;
  Rounding rounding;
  Overflow overflow;

  double operator()(double x) const {
    const double steps = rounded(std::ldexp(x, fraction), rounding);
    return std::ldexp(inside(steps), -fraction);
  }

  double inside(double steps) const {
    if (steps >= lowest && steps <= highest) return steps;
    if (overflow == Overflow::SAT_ZERO) return 0.0;
    if (overflow != Overflow::WRAP) return steps < lowest ? lowest : highest;
    const double period = std::ldexp(1.0, bits);
    return steps - period * std::floor((steps - lowest) / period);
  }
};

template <std::size_t N>
void soften(Nodes<N>& x) {
  double highest = x[0], sum = 0.0;
  for (const double each : x) highest = each > highest ? each : highest;
  for (double& each : x) sum += each = std::exp(each - highest);
  for (double& each : x) each /= sum;
}

// A symmetry: another event that is as likely, and of the same class.
struct Copy {
  std::array<std::size_t, n_features> source;
  Values sign, shift, start, period;
};

inline void exchange(Values& moved, const Values& given, std::initializer_list<std::size_t> columns) {
  bool whole = true;
  for (const std::size_t column : columns) whole = whole && !std::isnan(given[column]);
  if (whole) return;
  for (const std::size_t column : columns) moved[column] = given[column];
}

inline Values taken(const Values& given, const Copy& copy) {
  Values moved{};
  for (std::size_t i = 0; i < n_features; ++i) moved[i] = given[copy.source[i]];
  return moved;
}

inline void turn(Values& values, const Copy& copy) {
  for (std::size_t i = 0; i < n_features; ++i) {
    values[i] = values[i] * copy.sign[i];
    values[i] += copy.shift[i];
    if (copy.period[i] == 0.0f) continue;
    const float turns = copy.period[i] * std::floor((values[i] - copy.start[i]) / copy.period[i]);
    values[i] = clip(values[i] - turns, copy.start[i], std::nextafter(copy.start[i] + copy.period[i], copy.start[i]));
  }
}

inline void correct(Nodes<n_classes>& scores, const double (&scale)[n_classes], const double (&offset)[n_classes]) {
  for (std::size_t i = 0; i < n_classes; ++i) {
    const double score = scores[i] > 1.1754943508222875e-38 ? scores[i] : 1.1754943508222875e-38;
    scores[i] = scale[i] * std::log(score) + offset[i];
  }
  soften(scores);
}
