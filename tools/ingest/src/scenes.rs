//! What the demonstration films show and sound like, as filter graphs. No code, only pictures.

/// One film.
#[derive(Debug)]
pub(crate) struct Scene {
    /// A slug.
    pub title: &'static str,
    /// What members read.
    pub name: &'static str,
    /// One sentence.
    pub synopsis: &'static str,
    /// Year.
    pub year: u16,
    /// Most fitting first.
    pub genres: &'static [&'static str],
    /// Filter graphs of equal length, cut hard one after the other.
    pub shots: &'static [&'static str],
    /// Filter graph of the sound, stereo, 48 kHz.
    pub sound: &'static str,
}

/// A sky from `$top` to `$low`, drawn once.
macro_rules! sky {
    ($top:literal, $low:literal) => {
        concat!(
            "gradients=s=1280x720:r=24:n=2:c0=",
            $top,
            ":c1=",
            $low,
            ":x0=640:y0=0:x1=640:y1=620:speed=0.00001,trim=end_frame=1,loop=-1:1:0,\
             setpts=N/24/TB[sky{n}];"
        )
    };
}

/// A ridge of one colour whose upper edge is `$edge` (y in pixels, an expression in {x}), sliding
/// by `$speed` pixels a second. Drawn once, as a mask of one wide frame.
macro_rules! ridge {
    ($name:literal, $under:literal, $colour:literal, $speed:literal, $edge:literal) => {
        concat!(
            "nullsrc=s=1000x360:r=24,trim=end_frame=1,format=gray,geq=lum='255*clip(Y-(",
            $edge,
            ")/2+0.5\\,0\\,1)',scale=2000:720:flags=bicubic,loop=-1:1:0,setpts=N/24/TB,crop=1280:720:'t*",
            $speed,
            "':0[m",
            $name,
            "{n}];",
            "color=",
            $colour,
            ":s=1280x720:r=24[c",
            $name,
            "{n}];",
            "[c",
            $name,
            "{n}][m",
            $name,
            "{n}]alphamerge[l",
            $name,
            "{n}];",
            "[",
            $under,
            "{n}][l",
            $name,
            "{n}]overlay=shortest=1[",
            $name,
            "{n}]"
        )
    };
}

/// A soft disc at `$x`,`$y` of radius `$r`, rising by `$rise` pixels a second, with a glow.
macro_rules! disc {
    (
        $name:literal, $under:literal, $colour:literal,
        $r:literal, $x:literal, $y:literal, $rise:literal
    ) => {
        concat!(
            "nullsrc=s=450x450:r=24,trim=end_frame=1,format=gray,geq=lum='255*min(1\\,clip((",
            $r,
            "-hypot(X*2-450\\,Y*2-450))/2\\,0\\,1)+0.5*exp(-max(0\\,hypot(X*2-450\\,Y*2-450)-",
            $r,
            ")/70))*clip((450-hypot(X*2-450\\,Y*2-450))/200\\,0\\,1)',",
            "scale=900:900:flags=bicubic,loop=-1:1:0,setpts=N/24/TB[m",
            $name,
            "{n}];",
            "color=",
            $colour,
            ":s=900x900:r=24[c",
            $name,
            "{n}];",
            "[c",
            $name,
            "{n}][m",
            $name,
            "{n}]alphamerge[l",
            $name,
            "{n}];",
            "[",
            $under,
            "{n}][l",
            $name,
            "{n}]overlay=x=",
            $x,
            "-450:y='",
            $y,
            "-450-t*",
            $rise,
            "':shortest=1[",
            $name,
            "{n}];"
        )
    };
}

/// Stars over a sky: one frame of dots, twinkling as a whole.
macro_rules! stars {
    ($name:literal, $under:literal) => {
        concat!(
            "nullsrc=s=1280x720:r=24,trim=end_frame=1,format=gray,",
            "geq=lum='255*gt(mod(abs(sin(X*12.9898+Y*78.233)*43758.5453)\\,1)\\,0.9985)',",
            "gblur=sigma=0.6,lutyuv=y='clip(val*2.4\\,0\\,255)',loop=-1:1:0,setpts=N/24/TB[m",
            $name,
            "{n}];color=0xf4f1ff:s=1280x720:r=24[c",
            $name,
            "{n}];",
            "[c",
            $name,
            "{n}][m",
            $name,
            "{n}]alphamerge[l",
            $name,
            "{n}];",
            "[",
            $under,
            "{n}][l",
            $name,
            "{n}]overlay=shortest=1[",
            $name,
            "{n}];"
        )
    };
}

/// A coast through a day: hills, dunes, sea, city and stars.
pub(crate) static EMBER_COAST: Scene = Scene {
    title: "ember-coast",
    name: "Ember Coast",
    synopsis: "A day on a coast that nobody has drawn before: dusk, dunes, harbour lights and stars.",
    year: 2026,
    genres: &["Nature", "Drama"],
    shots: &[
        // Dusk over hills.
        concat!(
            sky!("0x3a1c4f", "0xff9a56"),
            disc!("sun", "sky", "0xffe3a8", "74", "860", "470", "-4"),
            ridge!(
                "r1",
                "sun",
                "0x8a4a5e",
                "10",
                "470+44*sin({x}/173+1)+22*sin({x}/61+2)+7*sin({x}/19)"
            ),
            ";",
            ridge!(
                "r2",
                "r1",
                "0x5b2f4c",
                "22",
                "540+52*sin({x}/211+4)+20*sin({x}/47)+6*sin({x}/13)"
            ),
            ";",
            ridge!(
                "r3",
                "r2",
                "0x2b1730",
                "48",
                "620+46*sin({x}/157)+16*sin({x}/39+1)+5*sin({x}/9)"
            ),
            ";[r3{n}]null"
        ),
        // Open sea under a low sun, one column of light.
        concat!(
            "nullsrc=s=320x180:r=24,format=gray,geq=lum='clip(if(lt(Y\\,78)\\,90+Y*1.35",
            "+150*exp(-pow(hypot(X-210\\,(Y-66))/17\\,2))\\,",
            "62+46*sin((Y-70)*(Y-70)/260-T*3.1+3*sin(X/23+T))",
            "*sin(X*14/(Y-60)+T*1.7)+120*exp(-pow((X-210)/(6+(Y-78)/4)\\,2))",
            "*(0.55+0.45*sin(Y*1.7-T*7+sin(X/3)*2)))\\,0\\,246)',",
            "format=yuv444p,pseudocolor=preset=inferno"
        ),
        // Dunes in the heat of noon.
        concat!(
            sky!("0x4aa3df", "0xfdeccb"),
            ridge!("d1", "sky", "0xe9bf83", "12", "430+70*sin({x}/310+0.5)+20*sin({x}/120)"),
            ";",
            ridge!("d2", "d1", "0xd99a57", "26", "520+80*abs(sin({x}/290+1.2))+8*sin({x}/70)"),
            ";",
            ridge!("d3", "d2", "0xb06f35", "55", "600+70*abs(sin({x}/240+2.1))+6*sin({x}/50)"),
            ";[d3{n}]null"
        ),
        // Fog in the morning, pines in front.
        concat!(
            sky!("0xb9c9cf", "0xf2efe6"),
            ridge!("f1", "sky", "0xa9bcc0", "8", "360+60*sin({x}/190)+30*sin({x}/71+1)"),
            ";",
            ridge!("f2", "f1", "0x7f9a9c", "18", "460+50*sin({x}/150+2)+26*sin({x}/53)"),
            ";",
            ridge!(
                "f3",
                "f2",
                "0x3f5f5c",
                "40",
                "520+36*sin({x}/220)+95*abs(mod({x}+17*sin({x}/90)\\,58)/29-1)+6*mod({x}\\,7)"
            ),
            ";[f3{n}]null"
        ),
        // A harbour city at night, windows lit.
        concat!(
            sky!("0x070b1d", "0x32325f"),
            stars!("st", "sky"),
            ridge!(
                "b1",
                "st",
                "0x1d2145",
                "10",
                "300+230*mod(abs(sin(floor({x}/64)*91.7)*4375.85)\\,1)"
            ),
            ";",
            ridge!(
                "b2",
                "b1",
                "0x0a0d20",
                "28",
                "400+200*mod(abs(sin(floor({x}/92)*37.3)*9713.19)\\,1)"
            ),
            ";",
            "nullsrc=s=1000x360:r=24,trim=end_frame=1,format=gray,geq=lum='255*gt((Y*2)\\,",
            "412+200*mod(abs(sin(floor({x}/92)*37.3)*9713.19)\\,1))*lt(mod({x}\\,16)\\,8)*lt(mod((Y*2)\\,22)\\,12)",
            "*gt(mod({x}\\,92)\\,8)*gt(mod(abs(sin(floor({x}/16)*12.9+floor((Y*2)/22)*78.2)*43758.5)\\,1)\\,0.62)',scale=2000:720:flags=neighbor,",
            "loop=-1:1:0,setpts=N/24/TB,crop=1280:720:'t*28':0[mw{n}];",
            "color=0xffce73:s=1280x720:r=24[cw{n}];[cw{n}][mw{n}]alphamerge[lw{n}];",
            "[b2{n}][lw{n}]overlay=shortest=1"
        ),
        // Northern lights.
        concat!(
            "nullsrc=s=320x180:r=24,format=gray,geq=lum='clip(14+210*exp(-pow((Y-62-22*sin(X/41+T*0.5)",
            "-12*sin(X/17-T*0.8))/(18+9*sin(X/29+T))\\,2))*(0.72+0.28*sin(X/6+4*sin(X/37+T*0.6)))",
            "*lt(Y\\,150)\\,0\\,250)',format=yuv444p,pseudocolor=preset=viridis,",
            "eq=brightness=-0.06:contrast=1.15,scale=1280:720:flags=bicubic[sky{n}];",
            stars!("st", "sky"),
            ridge!(
                "n1",
                "st",
                "0x06131a",
                "16",
                "560+60*sin({x}/160)+26*sin({x}/47+2)+8*sin({x}/15)"
            ),
            ";[n1{n}]null"
        ),
        // Moonrise over a still lake.
        concat!(
            sky!("0x0c1533", "0x5d6fa8"),
            disc!("moon", "sky", "0xf3f0df", "58", "420", "300", "9"),
            ridge!(
                "k1",
                "moon",
                "0x1a2448",
                "6",
                "400+50*sin({x}/200+3)+24*sin({x}/67)+9*sin({x}/21)"
            ),
            ";",
            "[k1{n}]crop=1280:440:0:0,split[up{n}][to{n}];[to{n}]vflip,crop=1280:280:0:0,",
            "gblur=sigma=5:sigmaV=1,eq=brightness=-0.08[down{n}];[up{n}][down{n}]vstack"
        ),
        // First light, far ridges in blue.
        concat!(
            sky!("0x25406e", "0xffd9b8"),
            disc!("sun", "sky", "0xfff4dc", "52", "400", "500", "12"),
            ridge!(
                "a1",
                "sun",
                "0x7d8fb3",
                "9",
                "420+90*abs(mod({x}/330+0.3\\,2)-1)+12*sin({x}/27)"
            ),
            ";",
            ridge!("a2", "a1", "0x4d6290", "20", "480+110*abs(mod({x}/270\\,2)-1)+10*sin({x}/21)"),
            ";",
            ridge!(
                "a3",
                "a2",
                "0x1e2c4f",
                "44",
                "590+60*sin({x}/180)+20*sin({x}/43)+5*sin({x}/11)"
            ),
            ";[a3{n}]null"
        ),
    ],
    sound: concat!(
        "aevalsrc=exprs='0.16*(sin(2*PI*110*t)+0.6*sin(2*PI*164.81*t)+0.4*sin(2*PI*220*t+sin(t))",
        ")*(0.6+0.4*sin(2*PI*t/15))+0.1*sin(2*PI*(440+110*floor(mod(t/1.875\\,4)))*t)",
        "*exp(-2.2*mod(t\\,1.875))|0.16*(sin(2*PI*110.4*t)+0.6*sin(2*PI*164.6*t)",
        "+0.4*sin(2*PI*220.5*t+cos(t)))*(0.6+0.4*cos(2*PI*t/15))",
        "+0.1*sin(2*PI*(550+110*floor(mod(t/1.875\\,3)))*t)*exp(-2.2*mod(t+0.94\\,1.875))'",
        ":s=48000:d={s},aformat=channel_layouts=stereo,lowpass=f=3800,afade=t=in:d=0.5"
    ),
};

/// Pictures that numbers make by themselves.
pub(crate) static NUMBER_GARDEN: Scene = Scene {
    title: "number-garden",
    name: "The Number Garden",
    synopsis: "Fractals, automata and waves, grown from a handful of formulas and left to bloom.",
    year: 2026,
    genres: &["Science", "Animation"],
    shots: &[
        // Falling into the seahorse valley.
        concat!(
            "mandelbrot=s=640x360:r=24:maxiter=500:start_scale=0.02:end_scale=0.0004:end_pts=400:",
            "start_x=-0.743643887:start_y=-0.131825904:inner=black:outer=normalized_iteration_count,",
            "hue=h=200+t*6:s=1.2"
        ),
        // Rings that meet.
        concat!(
            "nullsrc=s=320x180:r=24,format=gray,geq=lum='128+62*sin(hypot(X-96-30*sin(T/2)\\,Y-90)/4.2-T*5)",
            "+62*sin(hypot(X-224+30*cos(T/2)\\,Y-80)/5.1-T*4)',",
            "format=yuv444p,pseudocolor=preset=magma"
        ),
        // The game of life, with the dead glowing.
        concat!(
            "life=s=128x72:r=12:mold=8:ratio=0.2:seed=7:life_color=0xfff2c0:death_color=0xd0602a:",
            "mold_color=0x140a26,scale=640:360:flags=neighbor,gblur=sigma=1.1"
        ),
        // A slow wheel of colours.
        concat!(
            "gradients=s=640x360:r=24:n=6:c0=0xff4d6d:c1=0xffb703:c2=0x80ed99:c3=0x219ebc:c4=0x5f0f9f:",
            "c5=0xff4d6d:type=spiral:speed=0.02:seed=11:x0=320:y0=180:x1=40:y1=340"
        ),
        // Rule 110, line by line.
        concat!(
            "cellauto=s=160x90:r=24:rule=30:ratio=0.03:seed=3:scroll=1,format=gray,",
            "scale=640:360:flags=neighbor,gblur=sigma=2.2,lutyuv=y='20+val*0.8',format=yuv444p,",
            "pseudocolor=preset=viridis"
        ),
        // Drops that merge and part.
        concat!(
            "nullsrc=s=240x135:r=24,format=gray,geq=lum='clip(16",
            "+235*exp(-hypot(X-120-68*sin(T*0.9)\\,Y-68-38*cos(T*1.1))/24)",
            "+235*exp(-hypot(X-120-52*cos(T*0.7)\\,Y-68-45*sin(T*0.8))/30)",
            "+235*exp(-hypot(X-120+75*sin(T*0.6+1)\\,Y-68+30*sin(T*1.3))/27)\\,0\\,238)',",
            "format=yuv444p,pseudocolor=preset=turbo"
        ),
        // A triangle made of triangles.
        "sierpinski=s=640x360:r=24:seed=5:jump=140:type=carpet,format=gray,gblur=sigma=1.4,\
         lutyuv=y='30+val*0.78',format=yuv444p,pseudocolor=preset=turbo",
        // Woven light.
        concat!(
            "nullsrc=s=320x180:r=24,format=gray,geq=lum='128+120*sin(X/11+2*sin(Y/19+T))",
            "*sin(Y/13+2*cos(X/23-T*0.8))',",
            "format=yuv444p,pseudocolor=preset=plasma"
        ),
    ],
    sound: concat!(
        "aevalsrc=exprs='0.14*sin(2*PI*(261.63*pow(2\\,floor(mod(t*4\\,5))*2.4/12))*t)*exp(-5*mod(t\\,0.25))",
        "+0.12*sin(2*PI*65.41*t)*(0.7+0.3*sin(2*PI*t/7.5))|0.14*sin(2*PI*(392*pow(2\\,floor(mod(t*3\\,5))",
        "*2.4/12))*t)*exp(-4*mod(t\\,0.3333))+0.12*sin(2*PI*65.7*t)*(0.7+0.3*cos(2*PI*t/7.5))'",
        ":s=48000:d={s},aformat=channel_layouts=stereo,aecho=0.8:0.7:180:0.35,afade=t=in:d=0.3"
    ),
};
