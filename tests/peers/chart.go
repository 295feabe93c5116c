package main

import (
	"errors"
	"image/color"
	"math"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is a plot with a legend beside it.
type chart struct {
	*plot.Plot
	legend plot.Legend
	limit  float64 // of x; 0: that of the points
}

type point = plotter.XY

func newChart(title, subtitle string) *chart {
	c := &chart{Plot: plot.New(), legend: plot.NewLegend()}
	c.BackgroundColor = color.Transparent
	c.Title.Text = title + "\n" + subtitle + "\n"
	c.legend.Top, c.legend.Left = true, true
	c.legend.Padding, c.legend.YOffs = vg.Points(3), -vg.Points(60)
	c.legend.ThumbnailWidth = vg.Points(28)
	c.X.Padding, c.Y.Padding = 0, 0
	for _, s := range []*text.Style{
		&c.Title.TextStyle, &c.X.Label.TextStyle, &c.Y.Label.TextStyle,
		&c.X.Tick.Label, &c.Y.Tick.Label, &c.legend.TextStyle,
	} {
		s.Font.Variant, s.Font.Size = "Sans", vg.Points(10)
	}
	c.Add(plotter.NewGrid())
	return c
}

// add draws a line for a peer, with a mark at each point if marked.
func (c *chart) add(peer string, points []point, marked bool) error {
	line, err := plotter.NewLine(plotter.XYs(points))
	if err != nil {
		return err
	}
	line.LineStyle = styleOf(peer).line
	c.Add(line)
	if !marked {
		c.legend.Add(peer, line)
		return nil
	}
	marks, err := plotter.NewScatter(plotter.XYs(points))
	if err != nil {
		return err
	}
	marks.GlyphStyle = styleOf(peer).mark
	c.Add(marks)
	c.legend.Add(peer, line, marks)
	return nil
}

// save writes the chart as SVG.
func (c *chart) save(path string) error {
	const width, height, beside = 18 * vg.Centimeter, 10 * vg.Centimeter, 4 * vg.Centimeter
	c.X.Min, c.Y.Min = 0, 0
	if c.limit > 0 {
		c.X.Max = math.Ceil(c.limit/10) * 10 // so that the labels are round, too
	}
	svg := vgsvg.New(width, height)
	all := draw.New(svg)
	all.SetColor(color.White)
	all.Fill(all.Path())
	const margin = 6 // points
	c.Draw(draw.Crop(all, margin, -beside, margin, -margin))
	c.legend.Draw(draw.Crop(all, width-beside+2*margin, 0, 0, 0))
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = svg.WriteTo(file)
	return errors.Join(err, file.Close())
}

// style is how a peer is drawn.
type style struct {
	line draw.LineStyle
	mark draw.GlyphStyle
}

// styleOf tells peers apart by colours that all people tell apart (Okabe and Ito), and
// by dashes and marks besides.
func styleOf(peer string) style {
	styles := map[string]struct {
		color  color.RGBA
		dashes []vg.Length
		mark   draw.GlyphDrawer
	}{
		"bare":        {color.RGBA{A: 255}, []vg.Length{1, 2}, draw.CrossGlyph{}},
		"runc":        {color.RGBA{R: 230, G: 159, A: 255}, []vg.Length{6, 2}, draw.TriangleGlyph{}},
		"ip":          {color.RGBA{R: 86, G: 180, B: 233, A: 255}, []vg.Length{3, 2}, draw.SquareGlyph{}},
		"host-device": {color.RGBA{R: 204, G: 121, B: 167, A: 255}, []vg.Length{6, 2, 1, 2}, draw.PlusGlyph{}},
		"engine":      {color.RGBA{G: 158, B: 115, A: 255}, []vg.Length{9, 2}, draw.RingGlyph{}},
		"plugin":      {color.RGBA{G: 114, B: 178, A: 255}, nil, draw.CircleGlyph{}},
	}
	s := styles[peer]
	return style{
		line: draw.LineStyle{Color: s.color, Width: vg.Points(1.5), Dashes: s.dashes},
		mark: draw.GlyphStyle{Color: s.color, Radius: vg.Points(3), Shape: s.mark},
	}
}

// ticksAt marks these values; a label that would touch the one before is left out.
type ticksAt []int

// Ticks is for plot.Ticker.
func (values ticksAt) Ticks(low, high float64) []plot.Tick {
	const room = 0.03 // of the axis, for a label
	var ticks []plot.Tick
	last := low - high
	for _, v := range values {
		t := plot.Tick{Value: float64(v)}
		if t.Value-last > room*(high-low) {
			t.Label, last = strconv.Itoa(v), t.Value
		}
		ticks = append(ticks, t)
	}
	return ticks
}
