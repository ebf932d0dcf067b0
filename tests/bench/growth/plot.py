"""Points and fitted power laws on logarithmic axes, several panels side by side, as the text of an SVG file."""
import math

WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 60, 15, 34, 44
COLOUR = "#1f77b4"


def fit_power(sizes, values):
    """(exponent, factor) of value = factor * size^exponent, by least squares on the logarithms."""
    x, y = ([math.log(number) for number in numbers] for numbers in (sizes, values))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    exponent = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x)**2 for a in x)
    return exponent, math.exp(mean_y - exponent * mean_x)


class Axis:
    """A logarithmic scale from `first` to `last` pixels, with a margin around the numbers."""

    def __init__(self, numbers, first, last):
        low, high = math.log(min(numbers)), math.log(max(numbers))
        margin = 0.08 * (high - low) or 0.1
        self.low, self.high, self.first, self.last = low - margin, high + margin, first, last

    def __call__(self, number):
        return self.first + (math.log(number) - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self):
        """1, 2 and 5 times powers of ten within the scale."""
        decades = range(math.floor(self.low / math.log(10)), math.ceil(self.high / math.log(10)) + 1)
        numbers = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        return [number for number in numbers if self.low <= math.log(number) <= self.high]


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{words}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def panel(title, x_label, y_label, sizes, values):
    """One diagram, WIDTH by HEIGHT."""
    exponent, factor = fit_power(sizes, values)
    fitted = [factor * size**exponent for size in sizes]
    x_of = Axis(sizes, LEFT, WIDTH - RIGHT)
    y_of = Axis(values + fitted + [min(values) / 3, max(values) * 3], HEIGHT - BOTTOM, TOP)
    parts = [text(WIDTH / 2, 16, title, more='font-weight="bold"')]
    for size in sizes:
        parts += [line(x_of(size), TOP, x_of(size), HEIGHT - BOTTOM, 'stroke="#eee"'),
                  text(x_of(size), HEIGHT - BOTTOM + 16, f"{size:,}")]
    for number in y_of.ticks():
        parts += [line(LEFT, y_of(number), WIDTH - RIGHT, y_of(number), 'stroke="#eee"'),
                  text(LEFT - 6, y_of(number) + 4, f"{number:g}", "end")]
    parts.append(line(x_of(sizes[0]), y_of(fitted[0]), x_of(sizes[-1]), y_of(fitted[-1]),
                      f'stroke="{COLOUR}" stroke-dasharray="5 4"'))
    parts += [f'<circle cx="{x_of(size):.1f}" cy="{y_of(value):.1f}" r="4" fill="{COLOUR}"/>'
              for size, value in zip(sizes, values)]
    parts += [text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label),
              text(14, HEIGHT / 2, y_label, more=f'transform="rotate(-90 14 {HEIGHT / 2})"'),
              text(LEFT + 10, TOP + 14, f"exponent {exponent:.2f}", "start", f'fill="{COLOUR}"')]
    return "\n".join(parts)


def page(panels, columns=2):
    rows = -(-len(panels) // columns)
    places = [(WIDTH * (i % columns), HEIGHT * (i // columns)) for i in range(len(panels))]
    width, height = WIDTH * columns, HEIGHT * rows
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif" font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>']
    parts += [f'<g transform="translate({x} {y})">\n{part}\n</g>' for (x, y), part in zip(places, panels)]
    return "\n".join(parts + ["</svg>"]) + "\n"
